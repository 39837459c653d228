/**
 * The way from an HTTP upgrade request to a client on its channel: the name is checked, the siblings or the broker
 * learn of the channel, ws answers the handshake. Requests are refused with JSON over HTTP. Pages get some refusals
 * as a close code after the handshake (page-refusals.ts).
 */
import type { Socket } from 'node:net';
import type { Channel } from '../channel/channel.ts';
import type { ClientTokens } from '../auth/client-tokens.ts';
import type { Grant } from '../auth/grant.ts';
import { mayPublish, maySubscribe } from '../auth/permissions.ts';
import { answeredProtocol, tokenOf } from '../auth/token-source.ts';
import { channelOfTarget } from '../channel/name.ts';
import { now } from '../platform/clock.ts';
import type { Clients } from '../client/clients.ts';
import type { Subscription } from '../client/client.ts';
import { WsServer, type WsAdapter } from '../transport/websocket/ws-adapter.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Settings } from '../config/settings.ts';
import type { Counters } from '../metrics/counters.ts';
import { HubError } from '../platform/errors.ts';
import { refuse } from '../http/refuse.ts';
import { requestTarget, type RequestTarget } from '../http/request-target.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../platform/log.ts';
import { noTracing, type RequestSpan, type Tracing } from '../tracing/tracing.ts';
import { connectQuery, type ConnectQuery } from '../protocol/plain/connect-query.ts';
import { PlainProtocol } from '../protocol/plain/plain-protocol.ts';
import { textFraming } from '../transport/websocket/frame-writer.ts';
import type { AdmissionControl, Admitted } from './admission-control.ts';
import { noReplay, readReplay, type Replay } from './replay.ts';
import { PageRefusals } from './page-refusals.ts';

/** An upgrade request with its parsed target. */
interface Arrival {
  request: UpgradeRequest;
  socket: Socket;
  head: Buffer;
  /** name of the channel */
  name: string;
  options: ChannelOptions;
  query: ConnectQuery;
  /** when it was received, in seconds of clock.ts */
  startedAt: number;
  /** null: not traced */
  span: RequestSpan | null;
}

/**
 * An upgrade request that admission control has accepted. `AdmissionControl.leave` must follow when it fails or when
 * its client disconnects. `grant` is null if clients need no token.
 */
type Entry = Arrival & Admitted & { grant: Grant | null };

/** The checks of a handshake. */
export interface Guards {
  admission: AdmissionControl;
  /** null: clients need no token */
  tokens: ClientTokens | null;
}

export interface HandshakeOptions {
  hub: Hub;
  clients: Clients;
  guards: Guards;
  settings: Pick<Settings, 'maxPayload' | 'closeTimeoutMs' | 'maxMessagePieces'>;
  /** Called when `connected` has been written. */
  connected: (subscription: Subscription, request: UpgradeRequest) => void;
  log: Log;
  counters: Counters;
  tracing?: Tracing;
}

/** How long a join waits for the broker, for example while the broker is replaced. */
const brokerTimeoutMs = 2_000;

const plainWebSocket = new PlainProtocol(textFraming);
const envelopeWebSocket = new PlainProtocol(textFraming, { envelope: true });

export class Handshake {
  readonly #hub: Hub;
  readonly #clients: Clients;
  readonly #connected: HandshakeOptions['connected'];
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #guards: Guards;
  readonly #tracing: Tracing;
  readonly #pages = new PageRefusals();
  readonly #server: WsServer;
  /** milliseconds until a refused client is disconnected */
  readonly #closeTimeoutMs: number;
  /** the worker is about to end: all clients are refused */
  #closed = false;

  constructor(options: HandshakeOptions) {
    const { settings } = options;
    this.#hub = options.hub;
    this.#clients = options.clients;
    this.#connected = options.connected;
    this.#guards = options.guards;
    this.#log = options.log;
    this.#counters = options.counters;
    this.#tracing = options.tracing ?? noTracing;
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

  /** Number of handshakes in progress. */
  get pending(): number {
    return this.#guards.admission.inside - this.#clients.registry.size;
  }

  /** From now on every request is refused with `unavailable`. */
  close(): void {
    this.#closed = true;
  }

  /** Handles the `upgrade` event of the HTTP server. */
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
      const query = connectQuery(target.path);
      const options = this.#hub.optionsOf(name);
      if ((query.since || query.history > 0) && options.historySize === 0) {
        throw new HubError('bad_query', 'since and history need a channel with history');
      }
      this.#enter({
        request: withHost(request, target),
        socket,
        head,
        name,
        options,
        query,
        startedAt,
        span,
      });
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#refuse(socket, error, span);
    }
  };

  #enter(arrival: Arrival): void {
    const { admission, tokens } = this.#guards;
    let pass: Admitted;
    try {
      pass = admission.enter(arrival.request, arrival.name);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#refuseHandshake(arrival, error);
      return;
    }
    arrival.socket.on('error', ignore);
    const entry = { ...arrival, ...pass, grant: null };
    if (tokens !== null) {
      void this.#authorize(tokens, entry);
    } else if (maySubscribe(arrival.options, null, arrival.name)) {
      this.#join(entry);
    } else {
      admission.leave(pass.source);
      this.#refuseHandshake(arrival, new HubError('forbidden', 'this channel needs a token'));
    }
  }

  /** Joins the channel if the token allows it. */
  async #authorize(tokens: ClientTokens, entry: Entry): Promise<void> {
    try {
      const grant = await tokens.grant(tokenOf(entry.request));
      if (!maySubscribe(entry.options, grant, entry.name)) {
        throw new HubError('forbidden', 'the token does not allow this channel');
      }
      entry.grant = grant;
    } catch (error) {
      this.#guards.admission.leave(entry.source);
      if (!(error instanceof HubError)) throw error;
      const traceId = entry.span?.traceId;
      this.#log.debug({ channel: entry.name, reason: error.message, traceId }, 'client refused');
      this.#refuseHandshake(entry, error);
      return;
    }
    this.#join(entry);
  }

  /**
   * Reserves the channel, and answers the handshake when all siblings or the broker know it. Messages of the client
   * wait unread until then.
   */
  #join(entry: Entry): void {
    const { name, options, query } = entry;
    const channel = this.#hub.reserve(name);
    if (options.historySize === 0) {
      this.#hub.whenKnown(channel, () => {
        this.#answer(entry, channel, noReplay);
      });
      return;
    }
    let isAnswered = false;
    const answer = (replay: Replay | null) => {
      if (isAnswered) return; // the broker answered after the deadline
      isAnswered = true;
      clearTimeout(deadline);
      this.#answer(entry, channel, replay);
    };
    const deadline = setTimeout(answer, brokerTimeoutMs, null);
    this.#hub.whenKnown(channel, () => {
      if (!isAnswered) readReplay(this.#hub, name, options, query, answer);
    });
  }

  /** @param replay null: the broker has not answered in time */
  #answer(entry: Entry, channel: Channel<Subscription>, replay: Replay | null): void {
    const { request, socket, head, source, span } = entry;
    if (this.#closed || replay === null) {
      this.#hub.release(channel);
      this.#guards.admission.leave(source);
      this.#refuseHandshake(entry, new HubError('unavailable'));
      return;
    }
    socket.cork(); // handshake and `connected` leave in one write
    const ws = this.#server.upgrade(request, socket, head);
    if (ws) {
      this.#open(ws, entry, channel, replay);
    } else {
      this.#hub.release(channel);
      this.#guards.admission.leave(source);
    }
    span?.end(ws ? 101 : 400);
    socket.uncork();
  }

  #open(ws: WsAdapter, entry: Entry, channel: Channel<Subscription>, replay: Replay): void {
    const { options, query, address, source, grant, startedAt, span } = entry;
    const { name } = channel;
    const protocol = query.envelope ? envelopeWebSocket : plainWebSocket;
    const client = this.#clients.open(ws, protocol, { address, quota: source, grant });
    ws.attach(client, this.#clients);
    const subscription = this.#hub.subscribe(channel, client, {
      echo: query.echo ?? options.echo,
      mayPublish: mayPublish(options, grant, name),
    });
    const { id: connectionId } = client;
    const { workerId } = this.#hub;
    const { position, recovered, publications } = replay;
    client.write(protocol.connected({ connectionId, workerId, channel: name, position, recovered }));
    if (publications.length > 0) client.replay(protocol.publications(name, publications));
    if (position !== null) {
      this.#counters.resumes[recovered === null ? 'new' : recovered ? 'recovered' : 'unrecovered'] += 1;
    }
    this.#counters.handshake.observe(now() - startedAt);
    this.#log.debug({ connectionId, channel: name, traceId: span?.traceId }, 'connection opened');
    this.#connected(subscription, entry.request);
  }

  /** Refuses a request that is a valid handshake: a page by a close code, all other clients by HTTP. */
  #refuseHandshake({ request, socket, head, span }: Arrival, error: HubError): void {
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
      this.#guards.admission.count(error);
      this.#pages.close(ws, close);
    }
    socket.uncork();
  }

  #refuse(socket: Socket, error: HubError, span: RequestSpan | null): void {
    span?.end(error.status);
    this.#guards.admission.count(error);
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
