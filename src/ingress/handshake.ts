/**
 * From an HTTP upgrade request to a connection on its channel: the name is checked, the siblings learn of the
 * channel, ws makes the handshake. Refusals are answered with JSON before any WebSocket exists, except that pages are
 * told of some by a close code (page-refusals.ts).
 */
import type { Socket } from 'node:net';
import type { Channel } from '../channel/channel.ts';
import type { ClientTokens } from '../auth/client-tokens.ts';
import { Expiries } from '../auth/expiries.ts';
import { allows, type Grant } from '../auth/grant.ts';
import { answeredProtocol, tokenOf } from '../auth/token-source.ts';
import { channelOfTarget } from '../channel/name.ts';
import { now } from '../platform/clock.ts';
import { Client } from '../client/client.ts';
import type { TransportEvents } from '../transport/transport.ts';
import { WsServer, type WsAdapter } from '../transport/websocket/ws-adapter.ts';
import type { InboundLimiter } from '../client/inbound-limiter.ts';
import type { Settings } from '../config/settings.ts';
import type { Counters } from '../metrics/counters.ts';
import { HubError } from '../platform/errors.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import { refuse } from '../http/refuse.ts';
import { requestTarget, type RequestTarget } from '../http/request-target.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../platform/log.ts';
import { noTracing, type RequestSpan, type Tracing } from '../tracing/tracing.ts';
import { connectQuery } from '../protocol/plain/connect-query.ts';
import { connectedMessage, errorMessage } from '../protocol/plain/messages.ts';
import { inSlices } from '../platform/slices.ts';
import type { AdmissionControl, Admitted } from './admission-control.ts';
import { PageRefusals } from './page-refusals.ts';

/** Someone at the door. */
interface Arrival {
  request: UpgradeRequest;
  socket: Socket;
  head: Buffer;
  /** the channel's name */
  name: string;
  /** see ConnectQuery */
  echo: boolean;
  /** when it came, in seconds of clock.ts */
  startedAt: number;
  /** null: it is not traced */
  span: RequestSpan | null;
}

/** Who has passed the gate; `grant` is null where clients need no token. What passed must leave the gate again. */
type Entry = Arrival & Admitted & { grant: Grant | null };

/** What a client must pass, and how much it may say then. */
export interface Guards {
  gate: AdmissionControl;
  /** null: clients need no token */
  tokens: ClientTokens | null;
  inbound: InboundLimiter;
}

export class Handshake implements TransportEvents<Client> {
  readonly #hub: Hub;
  readonly #dispatcher: Dispatcher;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #guards: Guards;
  readonly #tracing: Tracing;
  readonly #expiries = new Expiries<Client>();
  readonly #pages = new PageRefusals();
  /** those whose token has ended are still being closed */
  #closingExpired = false;
  readonly #server: WsServer;
  /** see ConnectionEvents */
  readonly maxPayload: number;
  /** milliseconds that a client has to take a refusal */
  readonly #closeTimeoutMs: number;
  /** the worker is about to end: nobody is let in any more */
  #closed = false;

  constructor(
    hub: Hub,
    dispatcher: Dispatcher,
    guards: Guards,
    settings: Settings,
    log: Log,
    counters: Counters,
    tracing: Tracing = noTracing,
  ) {
    this.#guards = guards;
    this.#tracing = tracing;
    this.#counters = counters;
    this.#hub = hub;
    this.#dispatcher = dispatcher;
    this.#log = log;
    this.maxPayload = settings.maxPayload;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
    this.#server = new WsServer({
      maxPayload: settings.maxPayload,
      closeTimeout: settings.closeTimeoutMs,
      // What has not come whole is kept in the pieces in which it came, and each costs about 130 bytes however small
      // it is, besides all that was read with it (which WsAdapter bounds). Real messages come in TCP segments of 500
      // bytes and more, and in few fragments.
      maxFragments: settings.maxMessagePieces,
      maxBufferedChunks: settings.maxMessagePieces + Math.ceil(settings.maxPayload / 256),
      handleProtocols: answeredProtocol,
      refuse: (socket, error) => {
        this.#refuse(socket, new HubError('bad_request', error.message), null);
      },
    });
  }

  /** Handshakes that are not yet answered. */
  get pending(): number {
    return this.#guards.gate.inside - this.#hub.clients.size;
  }

  /** From now on every request is refused with `unavailable`. */
  close(): void {
    this.#closed = true;
  }

  /** The HTTP server's `upgrade` event. */
  readonly handle = (request: UpgradeRequest, socket: Socket, head: Buffer): void => {
    const startedAt = now();
    const target = requestTarget(request.url ?? '');
    const name = target && channelOfTarget(target.path);
    const { traceparent } = request.headers;
    const span = this.#tracing.on ? this.#tracing.upgrade(name, startedAt, traceparent) : null;
    try {
      if (this.#closed) throw new HubError('unavailable');
      if (name === null || target === null) throw new HubError('bad_channel');
      checkVersion(request);
      const { echo } = connectQuery(target.path);
      this.#enter({ request: withHost(request, target), socket, head, name, echo, startedAt, span });
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#refuse(socket, error, span);
    }
  };

  /** Closes those whose token has ended. */
  closeExpired(): void {
    if (this.#closingExpired) return; // so many have ended at once
    this.#closingExpired = true;
    const due = this.#expiries.due(Date.now() / 1000);
    const close = (connection: Client) => {
      connection.close('token_expired');
    };
    void inSlices(due, close).finally(() => {
      this.#closingExpired = false;
    });
  }

  message(connection: Client, data: Buffer, isBinary: boolean): void {
    const channel = connection.channels[0];
    if (!this.#guards.inbound.allow(connection, data.length)) return;
    if (!connection.mayPublish) {
      this.#counters.messageErrors.forbidden += 1;
      connection.send(errorMessage('forbidden', 'the token does not allow to publish on this channel'));
    } else if (channel) this.#dispatcher.message(connection, channel.name, data, isBinary);
  }

  ping(connection: Client, data: Buffer): void {
    if (this.#guards.inbound.allow(connection, data.length)) connection.pong(data);
  }

  pong(connection: Client, data: Buffer): void {
    this.#guards.inbound.allow(connection, data.length); // they need no answer, but cost as much to read
  }

  tooManyPieces(): void {
    this.#counters.messageErrors.too_many_pieces += 1;
  }

  ended(connection: Client, code: number): void {
    this.#hub.clients.delete(connection);
    this.#counters.closed[connection.disconnectCause] += 1;
    if (connection.disconnectCause === 'message_too_big') this.#counters.messageErrors.message_too_big += 1;
    if (connection.source) this.#guards.gate.leave(connection.source);
    if (connection.grant) this.#expiries.delete(connection, connection.grant.expiresAt);
    this.#dispatcher.disconnected(connection);
    const { id: connectionId, disconnectCause: reason, grant, since } = connection;
    const line = { connectionId, code, reason, user: grant?.claims['sub'], durationMs: Date.now() - since };
    this.#log.debug(line, 'connection closed');
  }

  #enter(arrival: Arrival): void {
    const { gate, tokens } = this.#guards;
    let pass: Admitted;
    try {
      pass = gate.enter(arrival.request, arrival.name);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#turnAway(arrival, error);
      return;
    }
    arrival.socket.on('error', ignore);
    const entry = { ...arrival, ...pass, grant: null };
    if (tokens === null) this.#join(entry);
    else void this.#authorize(tokens, entry);
  }

  /** Lets in whose token allows the channel. */
  async #authorize(tokens: ClientTokens, entry: Entry): Promise<void> {
    try {
      const grant = await tokens.grant(tokenOf(entry.request));
      if (!allows(grant, 'subscribe', entry.name)) {
        throw new HubError('forbidden', 'the token does not allow this channel');
      }
      entry.grant = grant;
    } catch (error) {
      this.#guards.gate.leave(entry.source);
      if (!(error instanceof HubError)) throw error;
      const traceId = entry.span?.traceId;
      this.#log.debug({ channel: entry.name, reason: error.message, traceId }, 'client refused');
      this.#turnAway(entry, error);
      return;
    }
    this.#join(entry);
  }

  /** The handshake is answered once the channel is known everywhere; what the client says before waits unread. */
  #join(entry: Entry): void {
    const { request, socket, head, name, source, span } = entry;
    const channel = this.#hub.reserve(name);
    this.#hub.whenKnown(channel, () => {
      if (this.#closed) {
        this.#hub.release(channel);
        this.#guards.gate.leave(source);
        this.#refuse(socket, new HubError('unavailable'), span);
        return;
      }
      socket.cork(); // handshake and `connected` leave in one write
      const ws = this.#server.upgrade(request, socket, head);
      if (ws) {
        this.#open(ws, entry, channel);
      } else {
        this.#hub.release(channel);
        this.#guards.gate.leave(source);
      }
      span?.end(ws ? 101 : 400);
      socket.uncork();
    });
  }

  #open(ws: WsAdapter, entry: Entry, channel: Channel<Client>): void {
    const { socket, echo, address, source, grant, startedAt, span } = entry;
    const connection = new Client(ws, socket, echo, this.#hub);
    connection.forwardedAddress = address;
    connection.source = source;
    if (grant) {
      connection.grant = grant;
      connection.mayPublish = allows(grant, 'publish', channel.name);
      this.#expiries.add(connection, grant.expiresAt);
    }
    ws.attach(connection, socket, this);
    this.#hub.clients.add(connection);
    this.#counters.opened += 1;
    this.#hub.subscribe(channel, connection);
    connection.send(connectedMessage(connection.id, this.#hub.workerId, channel.name));
    this.#counters.handshake.observe(now() - startedAt);
    const { id: connectionId } = connection;
    this.#log.debug({ connectionId, channel: channel.name, traceId: span?.traceId }, 'connection opened');
    this.#dispatcher.connected(connection, channel.name);
  }

  /** Refuses a client that might have come in: a page by a close code, everything else by HTTP. */
  #turnAway({ request, socket, head, span }: Arrival, error: HubError): void {
    const close = this.#pages.closeFor(request, error);
    if (!close || socket.destroyed) {
      this.#refuse(socket, error, span);
      return;
    }
    span?.end(error.status);
    socket.on('error', ignore);
    socket.cork(); // handshake and close leave in one write
    const ws = this.#server.upgrade(request, socket, head);
    if (ws) {
      this.#guards.gate.count(error);
      this.#pages.close(ws, close);
    }
    socket.uncork();
  }

  #refuse(socket: Socket, error: HubError, span: RequestSpan | null): void {
    span?.end(error.status);
    this.#guards.gate.count(error);
    refuse(socket, error, this.#closeTimeoutMs);
  }
}

function ignore(): void {
  // A client that goes while it waits is noticed when its turn comes.
}

/** ws would refuse it too, but without the version that the client may try instead (RFC 6455 section 4.4). */
function checkVersion({ headers }: UpgradeRequest): void {
  const version = headers['sec-websocket-version'];
  if (version === '13' || version === '8') return;
  throw new HubError('upgrade_required', 'Sec-WebSocket-Version must be 13');
}

/** The host of an absolute-form target counts instead of the Host header (RFC 9112 section 3.2.2). */
function withHost(request: UpgradeRequest, { path, host }: RequestTarget): UpgradeRequest {
  if (host === null) return request;
  request.url = path;
  request.headers.host = host;
  return request;
}
