/**
 * The way from a valid request to a client on its channel, on every transport: admission control, token, permission; the
 * siblings or the broker learn of the channel; the history is read. Then the factory of the transport opens it.
 */
import type { ClientTokens } from '../auth/jwt.ts';
import type { Grant } from '../auth/grant.ts';
import { mayPublish, maySubscribe } from '../auth/permissions.ts';
import { tokenOf } from '../auth/token-source.ts';
import type { Channel } from '../channel/channel.ts';
import type { Position } from '../channel/position.ts';
import type { Subscription } from '../client/client.ts';
import type { Clients } from '../client/clients.ts';
import { hasMembers, type ChannelOptions } from '../config/namespaces.ts';
import type { Hub } from '../hub.ts';
import type { Counters } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import { HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { connectQuery, type ConnectQuery } from '../protocol/plain/connect-query.ts';
import type { ChannelProtocol } from '../protocol/plain/messages.ts';
import type { RequestSpan, Tracing } from '../tracing/tracing.ts';
import type { Endpoint, Transport, TransportEvents } from '../transport/transport.ts';
import { joinChannel, type Replay } from '../session/join-channel.ts';
import { maxListedMembers, MembersView } from '../session/members-view.ts';
import type { AdmissionControl, Admitted } from './admission-control.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import { isReservedName } from './reserved-names.ts';

/** The parsed target of a request. */
export interface JoinRequest {
  /** name of the channel */
  readonly name: string;
  readonly options: ChannelOptions;
  readonly query: ConnectQuery;
}

/** A valid request that has not been answered. */
export interface Arrival extends JoinRequest {
  readonly request: UpgradeRequest;
  /** when it was received, in seconds of clock.ts */
  readonly startedAt: number;
  /** null: not traced */
  readonly span: RequestSpan | null;
}

/**
 * A request that admission control has accepted. `AdmissionControl.leave` must follow when it fails or when its client
 * disconnects. `grant` is null if clients need no token.
 */
type Entry<A> = A & Admitted & { grant: Grant | null };

/** A transport that was just opened. */
type OpenTransport = Transport & {
  attach(connection: Endpoint, events: TransportEvents<Endpoint>): void;
  /** Sends the bytes that were written since it was opened. */
  uncork(): void;
};

/** Opens one kind of transport, or refuses its clients. */
export interface TransportFactory<A extends Arrival> {
  /** HTTP status of the response that opens the transport */
  readonly status: number;
  protocolFor(query: ConnectQuery): ChannelProtocol;
  /** Opens the transport, corked. @returns null: the client has disconnected, or was refused */
  open(arrival: A): OpenTransport | null;
  /** Refuses a valid request, and ends its span. */
  refuse(arrival: A, error: HubError): void;
}

/** The checks of a request. */
export interface Guards {
  admission: AdmissionControl;
  /** null: clients need no token */
  tokens: ClientTokens | null;
}

/** A client that wants to subscribe; handlers/ fits. */
export interface Subscriber {
  readonly channel: string;
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly address: string;
  readonly request: UpgradeRequest;
}

export interface JoinPipelineOptions {
  /** Asks the user's handler. @returns null: there is none. Rejects with a HubError: the client may not subscribe. */
  subscribing: (subscriber: Subscriber) => Promise<void> | null;
  hub: Hub;
  clients: Clients;
  guards: Guards;
  /** Called when `connected` has been written. */
  connected: (subscription: Subscription, request: UpgradeRequest) => void;
  tracing: Pick<Tracing, 'resumed'>;
  log: Log;
  counters: Counters;
}

export class JoinPipeline {
  readonly #subscribing: JoinPipelineOptions['subscribing'];
  readonly #hub: Hub;
  readonly #clients: Clients;
  readonly #guards: Guards;
  readonly #connected: JoinPipelineOptions['connected'];
  readonly #tracing: JoinPipelineOptions['tracing'];
  readonly #log: Log;
  readonly #counters: Counters;
  /** the worker is about to end: all clients are refused */
  #closed = false;

  constructor({ subscribing, hub, clients, guards, connected, tracing, log, counters }: JoinPipelineOptions) {
    this.#subscribing = subscribing;
    this.#hub = hub;
    this.#clients = clients;
    this.#guards = guards;
    this.#connected = connected;
    this.#tracing = tracing;
    this.#log = log;
    this.#counters = counters;
  }

  /** Number of requests in progress. */
  get pending(): number {
    return this.#guards.admission.inside - this.#clients.registry.size;
  }

  /** From now on every request is refused with `unavailable`. */
  close(): void {
    this.#closed = true;
  }

  /** @throws {HubError} the worker is about to end */
  checkOpen(): void {
    if (this.#closed) throw new HubError('unavailable');
  }

  /**
   * Parses the target of a request.
   * @param path path and query of the request target
   * @param resume position from a header; replaces `since`. Ignored on a channel without history.
   * @throws {HubError} `bad_channel`, `bad_query`, `unknown_namespace`
   */
  parse(name: string, path: string, resume: Position | null = null): JoinRequest {
    if (isReservedName(name)) throw new HubError('bad_channel', 'this path is reserved');
    const query = connectQuery(path);
    const options = this.#hub.optionsOf(name);
    if ((query.since || query.history > 0) && options.historySize === 0) {
      throw new HubError('bad_query', 'since and history need a channel with history');
    }
    if (query.presence && !hasMembers(options)) {
      throw new HubError('bad_query', 'presence needs a channel with presence or joinLeave');
    }
    const isResumed = resume !== null && options.historySize > 0;
    return { name, options, query: isResumed ? { ...query, since: resume } : query };
  }

  enter<A extends Arrival>(arrival: A, factory: TransportFactory<A>): void {
    const { admission, tokens } = this.#guards;
    let pass: Admitted;
    try {
      pass = admission.enter(arrival.request, arrival.name);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      factory.refuse(arrival, error);
      return;
    }
    const entry: Entry<A> = { ...arrival, ...pass, grant: null };
    if (tokens !== null) {
      void this.#authorize(tokens, entry, factory);
    } else if (maySubscribe(arrival.options, null, arrival.name)) {
      this.#ask(entry, factory);
    } else {
      admission.leave(pass.source);
      factory.refuse(arrival, new HubError('forbidden', 'this channel needs a token'));
    }
  }

  /** Joins the channel if the token allows it. */
  async #authorize<A extends Arrival>(
    tokens: ClientTokens,
    entry: Entry<A>,
    factory: TransportFactory<A>,
  ): Promise<void> {
    try {
      const grant = await tokens.grant(tokenOf(entry.request));
      if (!maySubscribe(entry.options, grant, entry.name)) {
        throw new HubError('forbidden', 'the token does not allow this channel');
      }
      entry.grant = grant;
    } catch (error) {
      this.#refuse(entry, factory, error);
      return;
    }
    this.#ask(entry, factory);
  }

  /** Asks the user's handler whether the client may join. */
  #ask<A extends Arrival>(entry: Entry<A>, factory: TransportFactory<A>): void {
    const { name: channel, grant, request, address } = entry;
    const claims = grant?.claims ?? null;
    const asked = this.#subscribing({
      channel,
      claims,
      get address() {
        return address ?? request.socket.remoteAddress ?? '';
      },
      request,
    });
    if (!asked) {
      this.#join(entry, factory);
      return;
    }
    asked.then(
      () => {
        this.#join(entry, factory);
      },
      (error: unknown) => {
        this.#refuse(entry, factory, error);
      },
    );
  }

  #refuse<A extends Arrival>(entry: Entry<A>, factory: TransportFactory<A>, error: unknown): void {
    this.#guards.admission.leave(entry.source);
    if (!(error instanceof HubError)) throw error;
    const traceId = entry.span?.traceId;
    this.#log.debug({ channel: entry.name, reason: error.message, traceId }, 'client refused');
    factory.refuse(entry, error);
  }

  /**
   * Reserves the channel, and answers the request when all siblings or the broker know it. Messages of the client wait
   * unread until then.
   */
  #join<A extends Arrival>(entry: Entry<A>, factory: TransportFactory<A>): void {
    const { name, options, query, span } = entry;
    const askedAt = now();
    const members = query.presence ? new MembersView(this.#hub, name, options) : null;
    joinChannel(this.#hub, name, options, { ...query, members }, (channel, replay) => {
      if (span && replay && (query.since !== null || query.history > 0)) {
        this.#tracing.resumed(span.traceparent, name, askedAt, replay.recovered, replay.publications.length);
      }
      this.#answer(entry, factory, channel, replay, members);
      members?.end();
    });
  }

  /** @param replay null: the broker has not answered in time */
  #answer<A extends Arrival>(
    entry: Entry<A>,
    factory: TransportFactory<A>,
    channel: Channel<Subscription>,
    replay: Replay | null,
    members: MembersView | null,
  ): void {
    const { source, span } = entry;
    if (this.#closed || replay === null) {
      this.#hub.release(channel);
      this.#guards.admission.leave(source);
      factory.refuse(entry, new HubError('unavailable'));
      return;
    }
    const transport = factory.open(entry);
    if (transport) {
      this.#open(transport, factory.protocolFor(entry.query), entry, channel, replay, members);
    } else {
      this.#hub.release(channel);
      this.#guards.admission.leave(source);
    }
    span?.end(transport ? factory.status : 400);
    transport?.uncork();
  }

  #open(
    transport: OpenTransport,
    protocol: ChannelProtocol,
    { request, options, query, address, source, grant, startedAt, span }: Entry<Arrival>,
    channel: Channel<Subscription>,
    replay: Replay,
    members: MembersView | null,
  ): void {
    const { name } = channel;
    const client = this.#clients.open(transport, protocol, { address, quota: source, grant });
    transport.attach(client, this.#clients);
    const others = members?.others() ?? null;
    const subscription = this.#hub.subscribe(channel, client, {
      echo: query.echo ?? options.echo,
      mayPublish: mayPublish(options, grant, name),
      memberEvents: members && options.joinLeave ? 'others' : 'none',
    });
    const { id: connectionId } = client;
    const { workerId } = this.#hub;
    const { position, recovered, publications } = replay;
    client.write(protocol.connected({ connectionId, workerId, channel: name, position, recovered }));
    if (others && subscription.member) {
      const list = [subscription.member, ...others.members].slice(0, maxListedMembers);
      const truncated = others.truncated || list.length <= others.members.length;
      client.write(protocol.presence({ members: list, truncated }));
    }
    if (publications.length > 0) client.replay(protocol.publications(name, publications));
    if (position !== null) {
      this.#counters.resumes[recovered === null ? 'new' : recovered ? 'recovered' : 'unrecovered'] += 1;
    }
    this.#counters.handshake.observe(now() - startedAt);
    this.#log.debug({ connectionId, channel: name, traceId: span?.traceId }, 'connection opened');
    this.#connected(subscription, request);
  }
}
