/**
 * The handshake of WebSockets: checks an HTTP upgrade request, and answers it when the client has joined its channel
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
import { validHandshake } from '../transport/websocket/handshake-response.ts';
import { WebSocketServer, type WebSocketUpgrade } from '../transport/websocket/websocket-server.ts';
import type { WebSocketTransport } from '../transport/websocket/websocket-transport.ts';
import type { AdmissionControl } from './admission-control.ts';
import type { Arrival, TransportFactory, JoinPipeline } from './join-pipeline.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import { PageRefusals } from './page-refusals.ts';
import { sessionPath, uniSessionPath } from './reserved-names.ts';
import type { SessionHandshake } from './session-handshake.ts';

type WebSocketArrival = Arrival & WebSocketUpgrade;

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
  readonly #server: WebSocketServer;
  /** milliseconds until a refused client is disconnected */
  readonly #closeTimeoutMs: number;

  constructor({ sessions, joins, admission, settings, tracing }: HandshakeOptions) {
    this.#sessions = sessions;
    this.#joins = joins;
    this.#admission = admission;
    this.#tracing = tracing;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
    this.#server = new WebSocketServer(settings);
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
      const handshake = validHandshake(request);
      if (name === sessionPath || name === uniSessionPath) {
        this.#sessions.handle({
          request: withHost(request, target),
          socket,
          head,
          handshake,
          isUnidirectional: name === uniSessionPath,
          span,
          startedAt,
        });
        return;
      }
      const { options, query } = this.#joins.parse(name, target.path);
      this.#joins.enter(
        {
          request: withHost(request, target),
          socket,
          head,
          handshake,
          name,
          options,
          query,
          startedAt,
          span,
        },
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
  open(arrival: WebSocketArrival): WebSocketTransport | null {
    return this.#server.open(arrival, answeredProtocol(arrival.handshake.protocols));
  }

  /** Refuses a page by a close code, all other clients by HTTP. */
  refuse(arrival: WebSocketArrival, error: HubError): void {
    const { request, socket, span } = arrival;
    const close = this.#pages.closeFor(request, error);
    if (!close || socket.destroyed) {
      this.#refuse(socket, error, span);
      return;
    }
    span?.end(error.status);
    const transport = this.open(arrival);
    if (!transport) return;
    this.#admission.count(error);
    this.#pages.close(transport, close, error);
  }

  #refuse(socket: Socket, error: HubError, span: RequestSpan | null): void {
    span?.end(error.status);
    this.#admission.count(error);
    refuse(socket, error, this.#closeTimeoutMs);
  }
}

/** Replaces the Host header by the host of an absolute-form target (RFC 9112 section 3.2.2). */
function withHost(request: UpgradeRequest, { path, host }: RequestTarget): UpgradeRequest {
  if (host === null) return request;
  request.url = path;
  request.headers.host = host;
  return request;
}
