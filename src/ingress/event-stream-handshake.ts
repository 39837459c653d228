/**
 * Server-sent events: `GET /<channel>` that accepts `text/event-stream`, with CORS for the allowed origins.
 *
 * An EventSource reconnects by itself with the id of the last event, but gives up on any status other than 200, and hides
 * the status from its page. So browsers get a refusal as a stream of one event, `disconnected`. They reconnect after its
 * `retry`, or, if its code is final, once, and get 204. All other clients get the HTTP status.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Context } from 'koa';
import { channelOfTarget } from '../channel/name.ts';
import { parsePosition, type Position } from '../channel/position.ts';
import type { Settings } from '../config/settings.ts';
import { refusalHeaders } from '../http/refuse.ts';
import { now } from '../platform/clock.ts';
import { HubError, RefusedError } from '../platform/errors.ts';
import type { ConnectQuery } from '../protocol/plain/connect-query.ts';
import { EventStreamProtocol, isClosedForGood, lastEvent } from '../protocol/plain/event-stream-protocol.ts';
import type { RequestSpan, Tracing } from '../tracing/tracing.ts';
import { encodeEvent } from '../protocol/server-sent-events.ts';
import { HttpStream } from '../transport/http-stream/http-stream.ts';
import { eventStream } from '../transport/http-stream/stream-kinds.ts';
import type { AdmissionControl } from './admission-control.ts';
import { answerPreflight, checkMode, corsHeaders } from './cors.ts';
import type { Arrival, TransportFactory, JoinPipeline } from './join-pipeline.ts';
import { closeForRefusal } from './page-refusals.ts';

interface StreamArrival extends Arrival {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface EventStreamsOptions {
  joins: JoinPipeline;
  admission: Pick<AdmissionControl, 'count' | 'allowsOrigin' | 'refused'>;
  settings: Pick<Settings, 'closeTimeoutMs'>;
  tracing: Tracing;
  /** Called when the response of a socket has become a stream. */
  opened: (socket: Socket) => void;
}

const plain = new EventStreamProtocol();
const envelope = new EventStreamProtocol({ envelope: true });

/** Refused browsers come back after a random time between these two. */
const retryMinMs = 1_000;
const retryMaxMs = 10_000;

const acceptsStream = /(?:^|[\s,])text\/event-stream\s*(?:[,;]|$)/i;

const preflight = { methods: 'GET', headers: 'Authorization, Cache-Control, Last-Event-ID' };

export class EventStreams implements TransportFactory<StreamArrival> {
  readonly status = 200;
  readonly #joins: JoinPipeline;
  readonly #admission: EventStreamsOptions['admission'];
  readonly #tracing: Tracing;
  readonly #opened: EventStreamsOptions['opened'];
  readonly #closeTimeoutMs: number;

  constructor({ joins, admission, settings, tracing, opened }: EventStreamsOptions) {
    this.#joins = joins;
    this.#admission = admission;
    this.#tracing = tracing;
    this.#opened = opened;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
  }

  /** Handles a request that matches no route. @returns false: it asks for no stream */
  readonly take = (ctx: Context): boolean => {
    if (isPreflight(ctx.req)) {
      answerPreflight(this.#admission, ctx, preflight);
      return true;
    }
    if (ctx.method !== 'GET' || !acceptsStream.test(ctx.get('accept'))) return false;
    if (isClosedForGood(ctx.get('last-event-id'))) {
      ctx.set(corsHeaders(this.#admission, ctx.req));
      ctx.status = 204;
      return true;
    }
    ctx.respond = false;
    this.#handle(ctx.req, ctx.res);
    return true;
  };

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const startedAt = now();
    const path = request.url ?? '';
    const name = channelOfTarget(path);
    const { traceparent } = request.headers;
    const span = this.#tracing.on ? this.#tracing.upgrade(name, startedAt, traceparent) : null;
    try {
      this.#joins.checkOpen();
      if (name === null) throw new HubError('bad_channel');
      checkMode(request);
      if (!response.socket) throw new HubError('bad_request', 'a stream cannot wait for another response');
      const asked = this.#joins.parse(name, path, lastPosition(request));
      this.#joins.enter({ ...asked, request, response, startedAt, span }, this);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#refuse(request, response, span, this.#admission.refused(request, error));
    }
  }

  // TransportFactory

  protocolFor(query: ConnectQuery): EventStreamProtocol {
    return query.envelope ? envelope : plain;
  }

  open({ request, response }: StreamArrival): HttpStream | null {
    setHeaders(response, corsHeaders(this.#admission, request));
    const stream = HttpStream.open(response, {
      ...eventStream,
      closeTimeoutMs: this.#closeTimeoutMs,
      lastMessage: lastEvent,
    });
    if (!stream) return null;
    request.resume(); // a body is of no use
    this.#opened(request.socket);
    return stream;
  }

  refuse({ request, response, span }: StreamArrival, error: HubError): void {
    this.#refuse(request, response, span, error);
  }

  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    span: RequestSpan | null,
    error: HubError,
  ): void {
    span?.end(error.status);
    this.#admission.count(error);
    if (response.destroyed) return;
    setHeaders(response, corsHeaders(this.#admission, request));
    const close = isBrowser(request) ? closeForRefusal(error) : null;
    if (close) {
      const retryMs = Math.round(retryMinMs + Math.random() * (retryMaxMs - retryMinMs));
      setHeaders(response, { 'Content-Type': eventStream.contentType, 'Cache-Control': 'no-store' });
      response.statusCode = 200;
      if (error instanceof RefusedError) response.write(encodeEvent(JSON.stringify(error.body), {}));
      response.end(lastEvent(close.code, close.reason, retryMs));
      return;
    }
    setHeaders(response, { ...refusalHeaders(error), 'Content-Type': 'application/json; charset=utf-8' });
    response.statusCode = error.status;
    response.end(JSON.stringify(error.body));
  }
}

/** @throws {HubError} `bad_query`: the hub gave no such id */
function lastPosition({ headers }: IncomingMessage): Position | null {
  const id = headers['last-event-id'];
  if (id === undefined || id === '') return null;
  const position = parsePosition(String(id));
  if (position === null) throw new HubError('bad_query', 'Last-Event-ID must be <epoch>:<offset>');
  return position;
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] === 'GET'
  );
}

/** A page of the hub's own origin sends no `Origin`, and without TLS no `Sec-Fetch-Mode` either. */
function isBrowser({ headers }: IncomingMessage): boolean {
  return (
    headers.origin !== undefined ||
    headers['sec-fetch-mode'] !== undefined ||
    /^Mozilla\//.test(headers['user-agent'] ?? '')
  );
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}
