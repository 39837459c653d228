/**
 * Sessions of the Centrifugal protocol over HTTP, for clients that cannot open a WebSocket: a stream carries the messages of the hub,
 * and requests to `/emulation` bring those of the client, to any worker (emulation.ts).
 *
 *   POST /connection/http_stream   lines; the body is the first command, `connect`. `application/octet-stream`: Protobuf
 *   GET /connection/sse            server-sent events; `cf_connect` is the first command (or a POST with a body)
 *   POST /emulation                {"session","node","data"}: 204
 *   …/uni_http_stream, …/uni_sse   the same for clients that send nothing but `connect`
 *
 * A client that cannot be admitted gets an HTTP status: SDKs retry it with a growing delay, unlike a code in the stream.
 */
import type { Socket } from 'node:net';
import type { Router, RouterContext } from '@koa/router';
import type { Settings } from '../config/settings.ts';
import { readBody } from '../http/body.ts';
import { createRouter } from '../http/router.ts';
import type { Counters } from '../metrics/counters.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';
import { now } from '../platform/clock.ts';
import { HubError } from '../platform/errors.ts';
import { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import { DecodeError } from '../protocol/centrifugal/codec.ts';
import { decodeEmulation as decodeJson, jsonCodec } from '../protocol/centrifugal/json-codec.ts';
import type { EmulationRequest } from '../protocol/centrifugal/messages.ts';
import { decodeEmulation as decodeProtobuf, protobufCodec } from '../protocol/centrifugal/protobuf-codec.ts';
import { uniCodec } from '../protocol/centrifugal/uni-codec.ts';
import type { Sessions } from '../session/sessions.ts';
import { events, joined, lines } from '../transport/http-stream/framing.ts';
import { HttpStream, type StreamKind } from '../transport/http-stream/http-stream.ts';
import { binaryStream, eventStream, lineStream } from '../transport/http-stream/stream-kinds.ts';
import type { AdmissionControl } from './admission-control.ts';
import { answerPreflight, checkMode, corsHeaders } from './cors.ts';
import type { Delivery, Emulation } from './emulation.ts';

export interface SessionStreamsOptions {
  sessions: Sessions;
  emulation: Emulation;
  admission: AdmissionControl;
  /** Throws a HubError: the worker is about to end. */
  checkOpen: () => void;
  settings: Pick<Settings, 'maxCommandBytes' | 'closeTimeoutMs'>;
  counters: Counters;
  http: HttpCounters;
  /** Called when the response of a socket has become a stream. */
  opened: (socket: Socket) => void;
}

/** A kind of stream with its protocol. */
interface StreamProtocol {
  readonly kind: StreamKind;
  readonly protocol: CentrifugalProtocol;
}

const httpStream: StreamProtocol = { kind: lineStream, protocol: new CentrifugalProtocol(jsonCodec, lines) };
const protobuf: StreamProtocol = {
  kind: binaryStream,
  protocol: new CentrifugalProtocol(protobufCodec, joined),
};
const sse: StreamProtocol = { kind: eventStream, protocol: new CentrifugalProtocol(jsonCodec, events) };

const uniHttpStream: StreamProtocol = {
  kind: lineStream,
  protocol: new CentrifugalProtocol(uniCodec, lines),
};
const uniSse: StreamProtocol = { kind: eventStream, protocol: new CentrifugalProtocol(uniCodec, events) };

const emulationPath = '/emulation';
/** Bytes of a request to `/emulation` besides its commands, which are a JSON text in it: escaped, they may double. */
const maxAddressBytes = 1_024;

/** The routes, for the public port. */
export function sessionStreams(options: SessionStreamsOptions): Router {
  const { admission, http, settings } = options;
  const router = createRouter();
  const add = (path: string, methods: string[], handle: (ctx: RouterContext) => Promise<void>) => {
    router.register(
      path,
      methods,
      [
        async (ctx: RouterContext) => {
          ctx.set(corsHeaders(admission, ctx.req));
          ctx.set('Access-Control-Allow-Credentials', 'true');
          await handle(ctx);
        },
      ],
      { name: path },
    );
    router.register(
      path,
      ['OPTIONS'],
      [
        (ctx: RouterContext) => {
          ctx.set('Access-Control-Allow-Credentials', 'true');
          const headers = ctx.get('access-control-request-headers');
          answerPreflight(admission, ctx, { methods: methods.join(', '), headers });
        },
      ],
      { name: path },
    );
  };
  add('/connection/http_stream', ['POST'], async (ctx) => {
    openStream(
      options,
      ctx,
      isProtobuf(ctx) ? protobuf : httpStream,
      await readBody(ctx.req, settings.maxCommandBytes),
    );
  });
  add('/connection/sse', ['GET', 'POST'], async (ctx) => {
    checkMode(ctx.req);
    openStream(options, ctx, sse, await firstCommand(ctx, settings.maxCommandBytes));
  });
  add('/connection/uni_http_stream', ['POST'], async (ctx) => {
    openStream(options, ctx, uniHttpStream, await readBody(ctx.req, settings.maxCommandBytes));
  });
  add('/connection/uni_sse', ['GET', 'POST'], async (ctx) => {
    checkMode(ctx.req);
    openStream(options, ctx, uniSse, await firstCommand(ctx, settings.maxCommandBytes));
  });
  http.expect('POST', emulationPath, 204);
  add(emulationPath, ['POST'], (ctx) => passCommands(options, ctx));
  return router;
}

async function firstCommand(ctx: RouterContext, maxBytes: number): Promise<Buffer> {
  if (ctx.method === 'POST') return readBody(ctx.req, maxBytes);
  const { cf_connect: command } = ctx.query;
  if (typeof command !== 'string') throw new HubError('bad_query', 'cf_connect is missing');
  return Buffer.from(command);
}

/** @throws {HubError} the client is refused */
function openStream(
  { sessions, emulation, admission, checkOpen, settings, counters, opened }: SessionStreamsOptions,
  ctx: RouterContext,
  { kind, protocol }: StreamProtocol,
  command: Buffer,
): void {
  const startedAt = now();
  const { req: request, res: response } = ctx;
  let pass: ReturnType<AdmissionControl['enter']>;
  try {
    checkOpen();
    pass = admission.enter(request, null);
  } catch (error) {
    if (error instanceof HubError) admission.count(error);
    throw error;
  }
  ctx.respond = false;
  const stream = HttpStream.open(response, {
    ...kind,
    closeTimeoutMs: settings.closeTimeoutMs,
    lastMessage: (code, reason) => protocol.push('', 'disconnect', { code, reason }),
  });
  if (!stream) {
    admission.leave(pass.source);
    response.destroy();
    return;
  }
  opened(request.socket);
  const address = protocol.codec.isUnidirectional ? null : emulation.address();
  const origin = { address: pass.address, quota: pass.source };
  const session = sessions.open(stream, protocol, origin, request, address);
  stream.attach(session.client, session);
  if (address) {
    emulation.open(address, stream);
    request.socket.once('close', () => {
      emulation.close(address);
    });
  }
  stream.receive(command, protocol.codec.isBinary);
  stream.uncork();
  counters.handshake.observe(now() - startedAt);
}

async function passCommands(
  { emulation, admission, settings }: SessionStreamsOptions,
  ctx: RouterContext,
): Promise<void> {
  if (!admission.allowsOrigin(ctx.req)) throw new HubError('origin_not_allowed');
  const isBinary = isProtobuf(ctx);
  const { data, ...address } = parseRequest(
    await readBody(ctx.req, 2 * settings.maxCommandBytes + maxAddressBytes),
    isBinary ? decodeProtobuf : decodeJson,
  );
  if (data.length > settings.maxCommandBytes) throw new HubError('message_too_big');
  const delivery = await emulation.deliver(address, data, isBinary);
  if (delivery === 'taken') {
    ctx.status = 204;
    return;
  }
  const error = refusalOf(delivery);
  throw delivery === 'unknown' ? admission.refused(ctx.req, error) : error;
}

/** @throws {HubError} `bad_json` */
function parseRequest(body: Buffer, decode: (body: Buffer) => EmulationRequest): EmulationRequest {
  try {
    return decode(body);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new HubError('bad_json', 'the body is no request with session, node and data', { cause });
  }
}

function isProtobuf(ctx: RouterContext): boolean {
  return typeof ctx.is('application/octet-stream') === 'string';
}

function refusalOf(delivery: Exclude<Delivery, 'taken'>): HubError {
  switch (delivery) {
    case 'unknown':
      return new HubError('not_found', 'there is no such session');
    case 'busy':
      return new HubError('rate_limited', 'earlier commands of this session wait');
    case 'unavailable':
      return new HubError('unavailable', 'the worker of this session did not answer');
  }
}
