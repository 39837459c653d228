/**
 * The handshake of WebSockets: checks an HTTP upgrade request; ws answers it when the client has joined its channel
 * (join-pipeline.ts). Requests are refused with JSON over HTTP. Pages get some refusals as a close code after the
 * handshake (page-refusals.ts).
 */
import type { Socket } from 'node:net';
import { answeredProtocol } from '../auth/token-source.ts';
import { channelOfTarget } from '../channel/name.ts';
import type { Settings } from '../config/settings.ts';
import { refuse } from '../http/refuse.ts';
import { requestTarget, type RequestTarget } from '../http/request-target.ts';
import { now } from '../platform/clock.ts';
import { HubError } from '../platform/errors.ts';
import type { ConnectQuery } from '../protocol/plain/connect-query.ts';
import { PlainProtocol } from '../protocol/plain/plain-protocol.ts';
import type { RequestSpan, Tracing } from '../tracing/tracing.ts';
import { textFraming } from '../transport/websocket/frame-writer.ts';
import { WsServer, type WsAdapter } from '../transport/websocket/ws-adapter.ts';
import type { AdmissionControl } from './admission-control.ts';
import type { Arrival, TransportFactory, JoinPipeline } from './join-pipeline.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import { PageRefusals } from './page-refusals.ts';
import { sessionPath } from './reserved-names.ts';
import type { SessionHandshake } from './session-handshake.ts';

interface WebSocketArrival extends Arrival {
  readonly socket: Socket;
  readonly head: Buffer;
}

export interface HandshakeOptions {
  sessions: SessionHandshake;
  joins: JoinPipeline;
  admission: Pick<AdmissionControl, 'count' | 'refused'>;
  settings: Pick<Settings, 'maxPayload' | 'closeTimeoutMs' | 'maxMessagePieces'>;
  tracing: Tracing;
}

const plainWebSocket = new PlainProtocol(textFraming);
const envelopeWebSocket = new PlainProtocol(textFraming, { envelope: true });

export class Handshake implements TransportFactory<WebSocketArrival> {
  readonly status = 101;
  readonly #joins: JoinPipeline;
  readonly #sessions: SessionHandshake;
  readonly #admission: HandshakeOptions['admission'];
  readonly #tracing: Tracing;
  readonly #pages = new PageRefusals();
  readonly #server: WsServer;
  /** milliseconds until a refused client is disconnected */
  readonly #closeTimeoutMs: number;

  constructor({ sessions, joins, admission, settings, tracing }: HandshakeOptions) {
    this.#sessions = sessions;
    this.#joins = joins;
    this.#admission = admission;
    this.#tracing = tracing;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
    this.#server = new WsServer({
      maxPayload: settings.maxPayload,
      closeTimeout: settings.closeTimeoutMs,
      // ws keeps an incomplete message in the pieces in which it arrived. A piece costs about 130 bytes, however small,
      // and keeps its whole chunk in memory (WsAdapter limits the chunks). Real messages arrive in TCP segments of 500
      // bytes and more, and in few fragments.
      maxFragments: settings.maxMessagePieces,
      maxBufferedChunks: settings.maxMessagePieces + Math.ceil(settings.maxPayload / 256),
      handleProtocols: answeredProtocol,
      refuse: (socket, error) => {
        this.#refuse(socket, new HubError('bad_request', error.message), null);
      },
    });
  }

  /** Handles the `upgrade` event of the HTTP server. */
  readonly handle = (request: UpgradeRequest, socket: Socket, head: Buffer): void => {
    const startedAt = now();
    const target = requestTarget(request.url ?? '');
    const name = target && channelOfTarget(target.path);
    const { traceparent } = request.headers;
    const span = this.#tracing.on ? this.#tracing.upgrade(name, startedAt, traceparent) : null;
    try {
      this.#joins.checkOpen();
      if (name === null || target === null) throw new HubError('bad_channel');
      checkVersion(request);
      // Some clients send an empty list, which ws would refuse (RFC 6455 section 4.1).
      if (request.headers['sec-websocket-protocol'] === '') delete request.headers['sec-websocket-protocol'];
      if (name === sessionPath) {
        this.#sessions.handle({ request: withHost(request, target), socket, head, span, startedAt });
        return;
      }
      const { options, query } = this.#joins.parse(name, target.path);
      socket.on('error', ignore);
      this.#joins.enter(
        { request: withHost(request, target), socket, head, name, options, query, startedAt, span },
        this,
      );
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#refuse(socket, this.#admission.refused(request, error), span);
    }
  };

  // TransportFactory

  protocolFor({ envelope }: ConnectQuery): PlainProtocol {
    return envelope ? envelopeWebSocket : plainWebSocket;
  }

  /** Handshake and `connected` leave in one write. */
  open({ request, socket, head }: WebSocketArrival): WsAdapter | null {
    socket.cork();
    const ws = this.#server.upgrade(request, socket, head);
    if (!ws) socket.uncork();
    return ws ?? null;
  }

  /** Refuses a page by a close code, all other clients by HTTP. */
  refuse({ request, socket, head, span }: WebSocketArrival, error: HubError): void {
    const close = this.#pages.closeFor(request, error);
    if (!close || socket.destroyed) {
      this.#refuse(socket, error, span);
      return;
    }
    span?.end(error.status);
    socket.cork(); // handshake and close leave in one write
    const ws = this.#server.upgrade(request, socket, head);
    if (ws) {
      this.#admission.count(error);
      this.#pages.close(ws, close, error);
    }
    socket.uncork();
  }

  #refuse(socket: Socket, error: HubError, span: RequestSpan | null): void {
    span?.end(error.status);
    this.#admission.count(error);
    refuse(socket, error, this.#closeTimeoutMs);
  }
}

function ignore(): void {
  // A client that disconnects while it waits is detected when its handshake is answered.
}

/**
 * Checks the version. ws would refuse it too, but without the supported version (RFC 6455 section 4.4).
 * @throws {HubError} `upgrade_required`
 */
function checkVersion({ headers }: UpgradeRequest): void {
  const version = headers['sec-websocket-version'];
  if (version === '13' || version === '8') return;
  throw new HubError('upgrade_required', 'Sec-WebSocket-Version must be 13');
}

/** Replaces the Host header by the host of an absolute-form target (RFC 9112 section 3.2.2). */
function withHost(request: UpgradeRequest, { path, host }: RequestTarget): UpgradeRequest {
  if (host === null) return request;
  request.url = path;
  request.headers.host = host;
  return request;
}
