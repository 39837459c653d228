/**
 * The hub in one worker: subscribes clients to channels, delivers publications to local subscribers, and publishes to
 * all workers. `publish` sends a publication to the siblings or the broker; `deliver` does not. Publications of
 * siblings are only delivered. All output of one turn of the event loop is flushed together: first to the siblings,
 * then to the sockets.
 */
import { batchingLimits } from './channel/batching.ts';
import type { Channel } from './channel/channel.ts';
import { Congestion } from './channel/congestion.ts';
import { FanOut } from './channel/fan-out.ts';
import type { MemberEvent, PresenceList, PresenceStats, PresentMember } from './channel/member.ts';
import type { Position } from './channel/position.ts';
import { metaOf, Publication } from './channel/publication.ts';
import { Registry } from './channel/registry.ts';
import { type Client, Subscription, type SubscriptionOptions } from './client/client.ts';
import type { Subscriptions } from './client/clients.ts';
import { LocalPresence, memberOf } from './client/local-presence.ts';
import { hasMembers, type ChannelOptions, type Namespaces } from './config/namespaces.ts';
import type { EngineDownPolicy } from './config/engine-settings.ts';
import type { Counters } from './metrics/counters.ts';
import { HubError } from './platform/errors.ts';
import type { Appended, Range } from './engine/engine.ts';
import { now } from './platform/clock.ts';
import { FlushScheduler } from './platform/flush-scheduler.ts';
import { inSlices } from './platform/slices.ts';
import { skippedMessage } from './protocol/plain/messages.ts';
import type { BrokerLink, BrokerLinkEvents, Delivery } from './relay/broker-link/broker-link.ts';
import { channelList, type ChannelSummary } from './relay/channel-list.ts';
import { tooBig, type Relay, type RelayHost, type Sibling } from './relay/relay.ts';
import type { OnAppended, OnTraced, Traced } from './tracing/traced.ts';

/** The state of the whole hub, as one worker knows it. The data of siblings is at most a second old. */
export interface HubState {
  /** the worker that answered */
  workerId: string;
  /** connections of all workers */
  connections: number;
  workers: Sibling[];
  /** collected when it is read, in one turn of the event loop */
  readonly channels: ChannelSummary[];
}

/** Publications of a channel with history; client/ and admin/ read them. */
export interface HistoryPage {
  /** the position of the last publication of the channel */
  readonly top: Position;
  /** true: `publications` has everything after the requested position; false: it is empty */
  readonly complete: boolean;
  /** of a page: more publications are kept in its direction */
  readonly more: boolean;
  /** oldest first; each is `stored` */
  readonly publications: readonly Publication[];
}

/** Options of a publisher on a channel with history. */
export interface AppendOptions {
  /** the idempotency key: publications with the same key are stored once; `''`: none */
  readonly key: string;
  /** Called with the position. Not called if the broker dies and the outcome is unknown. */
  readonly placed: (result: Appended) => void;
}

/** The part of the link to the broker that the hub uses. */
export type Streams = Pick<
  BrokerLink,
  'publish' | 'subscribe' | 'unsubscribe' | 'positionOf' | 'history' | 'remove' | 'presence' | 'machines'
>;

export interface HubOptions {
  workerId: string;
  /** see settings.ts */
  maxBatchDelayMs: number;
  workers: number;
  relay: Relay;
  namespaces: Namespaces;
  /** null: no channel has history or presence */
  streams: Streams | null;
  /** the requests that are refused while the shared engine is unreachable; absent or null: there is one machine */
  engineDown?: EngineDownPolicy | null;
  /** returns the number of connections of this worker */
  connections: () => number;
  counters: Counters;
  /** called once per traced publication that was delivered */
  onTraced?: OnTraced;
  onAppended?: OnAppended;
}

type LocalChannel = Channel<Subscription>;

const noBytes = Buffer.alloc(0);
/** stands for all channels with history in the congestion state; no channel has this name */
const broker = '';

/** A read-only view of a channel of this worker. */
export type ChannelView = Pick<LocalChannel, 'name'> & { readonly members: ReadonlySet<Subscription> };

export class Hub
  implements Subscriptions, RelayHost, Pick<BrokerLinkEvents, 'publication' | 'gap' | 'member'>
{
  readonly workerId: string;
  readonly #registry: Registry<Subscription>;
  readonly #relay: Relay;
  readonly #namespaces: Namespaces;
  readonly #streams: Streams | null;
  readonly #engineDown: EngineDownPolicy | null;
  /** null: no channel has presence */
  readonly #presence: LocalPresence | null;
  /**
   * subscriptions that have published to channels with history, by number, so that deliveries can exclude the sender
   */
  readonly #senders = new Map<number, Subscription>();
  #lastSender = 0;
  readonly #fanout: FanOut<Subscription>;
  readonly #congestion = new Congestion();
  readonly #counters: Counters;
  readonly #onAppended: OnAppended | undefined;
  /** see RelayHost */
  readonly connections: () => number;
  /** clients that collect writes until the end of the turn */
  #collecting: Client[] = [];
  readonly #turn = new FlushScheduler(() => this.#flush(performance.now()));

  constructor(options: HubOptions) {
    const { maxBatchDelayMs, workers, relay, counters } = options;
    this.connections = options.connections;
    this.workerId = options.workerId;
    this.#counters = counters;
    this.#onAppended = options.onAppended;
    this.#relay = relay;
    this.#namespaces = options.namespaces;
    this.#streams = options.streams;
    this.#engineDown = options.engineDown ?? null;
    this.#presence =
      options.streams &&
      new LocalPresence({
        link: options.streams.presence,
        wake: () => {
          this.#turn.request();
        },
        catchUp: (client) => {
          this.catchUp(client);
        },
      });
    this.#registry = new Registry<Subscription>({
      opened: (channel) => {
        relay.announce(channel);
      },
      closed: (channel) => {
        this.#fanout.forget(channel);
        relay.withdraw(channel);
        if (this.#streamsOf(channel)) this.#streams?.unsubscribe(channel.name);
      },
    });
    this.#fanout = new FanOut<Subscription>({
      audience: ({ name, members }) => members.size + relay.remoteMembers(name),
      batching: batchingLimits(maxBatchDelayMs, workers),
      onSlow: ({ client }) => {
        client.reportSlow();
      },
      onCongested: (channel) => {
        this.congested(channel.name, channel.congested);
        relay.congestionChanged(channel);
      },
      onTraced: options.onTraced ?? null,
      counters,
    });
    relay.start(this);
  }

  /**
   * Returns the options of a channel.
   * @throws {HubError} `unknown_namespace`
   */
  optionsOf(name: string): ChannelOptions {
    const options = this.#namespaces.of(name);
    if (options === null) throw new HubError('unknown_namespace');
    return options;
  }

  /** Begins a join: announces the channel to the siblings. `subscribe` or `release` ends it. */
  reserve(name: string): LocalChannel {
    return this.#registry.reserve(name, this.optionsOf(name));
  }

  /** Whether joins wait for an engine, which may not be reached. */
  get isShared(): boolean {
    return this.#engineDown !== null;
  }

  /** Whether clients of a channel must be refused, because the engine is not reached. */
  isUnreachable({ historySize }: ChannelOptions): boolean {
    if (this.#engineDown === null || this.#streams?.machines.isAway !== true) return false;
    return historySize > 0 || this.#engineDown === 'refuse';
  }

  /**
   * Calls `ready` when this worker gets every publication of the channel, at once if it already does. For a channel
   * with history this is the answer of the broker; without an answer `ready` is not called.
   * @returns withdraws the call of `ready`, on a channel with history
   */
  whenKnown(channel: LocalChannel, ready: () => void): () => void {
    const streams = this.#streamsOf(channel);
    if (streams) return streams.subscribe(channel.name, ready);
    this.#relay.whenKnown(channel, ready);
    return () => undefined;
  }

  /** Returns the position of the last publication of a channel with history that this worker has; null: not known. */
  positionOf(name: string): Position | null {
    return this.#streams?.positionOf(name) ?? null;
  }

  /**
   * Reads the history of a channel.
   * @param done called in the order of the answers of the broker, so that later publications follow the page; null:
   *   no answer
   * @throws {HubError} `bad_request`: the channel has no history; `unknown_namespace`
   */
  history(name: string, range: Range, done: (page: HistoryPage | null) => void): void {
    this.#historyOf(name).history(name, range, (page) => {
      done(
        page && {
          top: page.top,
          complete: page.complete,
          more: page.more === true,
          publications: page.messages.map(({ offset, time, payload, meta }) => {
            const publication = new Publication(Buffer.from(payload, 'latin1'), 'relay');
            const position = { epoch: page.top.epoch, offset };
            publication.stored = { position, time, meta: Buffer.from(meta, 'latin1') };
            return publication;
          }),
        },
      );
    });
  }

  /**
   * Empties the history of a channel; its position stays, and subscribers notice nothing.
   * @param done called with the position; null: no answer in time, outcome unknown
   */
  removeHistory(name: string, done: (top: Position | null) => void): void {
    this.#historyOf(name).remove(name, done);
  }

  /** Ends a join with a subscription. Writes to the client in this turn precede the publications of the channel. */
  subscribe(channel: LocalChannel, client: Client, options: SubscriptionOptions): Subscription {
    const subscription = new Subscription(client, channel, options);
    this.#registry.subscribe(channel, subscription);
    client.subscriptions = client.subscriptions.concat(subscription);
    if (channel.options.historySize > 0) client.mustGetAll = true;
    this.#fanout.joined(channel, subscription);
    if (this.#presence && hasMembers(channel.options)) {
      this.#presence.entered(subscription, memberOf(client, options));
    }
    this.#relay.membersChanged(channel);
    return subscription;
  }

  /** Ends a join whose client has disconnected. */
  release(channel: LocalChannel): void {
    this.#registry.release(channel);
  }

  /** Ends a subscription, after writing its waiting publications. */
  unsubscribe(subscription: Subscription): void {
    const { channel, client } = subscription;
    const index = client.subscriptions.indexOf(subscription);
    if (index === -1) return;
    this.#fanout.flushTo(channel, subscription);
    this.#relay.membersChanged(channel);
    client.subscriptions = client.subscriptions.toSpliced(index, 1);
    this.#senders.delete(subscription.sender);
    if (subscription.member) this.#presence?.left(subscription);
    this.#registry.unsubscribe(channel, subscription);
  }

  /**
   * Sends a publication to all subscribers of the channel, on all workers.
   * @param append options for channels with history
   * @throws {HubError} `message_too_big`: too big for the relay, and not delivered locally either;
   *   `unknown_namespace`; `unavailable`: too many bytes wait for the broker
   */
  publish(name: string, publication: Publication<Subscription>, append: AppendOptions | null = null): void {
    const { payload, source } = publication;
    if (payload.length > this.#relay.maxPublicationBytes) throw tooBig(payload.length);
    const channel = this.#registry.get(name);
    const options = channel ? channel.options : this.optionsOf(name);
    if (options.historySize > 0 && this.#streams) {
      this.#append(this.#streams, name, publication, append);
      if (source !== 'relay') this.#counters.received[source] += 1;
      return;
    }
    if (source !== 'relay') this.#counters.received[source] += 1;
    this.#relay.publish(name, publication, channel?.members.size ?? 0, performance.now());
    if (channel) this.#fanout.push(channel, publication);
    this.#turn.request();
  }

  #append(
    streams: Streams,
    name: string,
    { payload, sender, client, readAt, traced }: Publication<Subscription>,
    append: AppendOptions | null,
  ): void {
    if (sender?.sender === 0) {
      sender.sender = this.#lastSender += 1;
      this.#senders.set(sender.sender, sender);
    }
    const draft = {
      payload,
      meta: metaOf(client),
      key: append?.key ?? '',
      sender: sender?.sender ?? 0,
      readAt,
      trace: traced?.traceContext ?? noBytes,
    };
    const placed = append?.placed ?? null;
    streams.publish(name, draft, traced ? this.#tracedPlaced(name, traced, placed) : placed);
  }

  #tracedPlaced(
    name: string,
    traced: Traced,
    placed: AppendOptions['placed'] | null,
  ): AppendOptions['placed'] {
    const startedAt = now();
    return (result) => {
      this.#onAppended?.(traced, name, startedAt, result.duplicate);
      placed?.(result);
    };
  }

  /**
   * Called when too many bytes wait for the broker, so that publishers of all channels with history should pause.
   * @param isCongested false: they may continue
   */
  brokerCongested(isCongested: boolean): void {
    this.congested(broker, isCongested);
  }

  /** @throws {HubError} `bad_request`: the channel has no history; `unknown_namespace` */
  #historyOf(name: string): Streams {
    if (this.#streams && this.optionsOf(name).historySize > 0) return this.#streams;
    throw new HubError('bad_request', 'the channel has no history');
  }

  /**
   * Returns the members of a channel, on all workers.
   * @param limit most members
   * @throws {HubError} as a rejection: `bad_request`: the channel has no presence; `unknown_namespace`; `unavailable`
   */
  async presence(name: string, limit = 1_000): Promise<PresenceList> {
    return this.#presenceOf(name).list(name, limit);
  }

  /** Returns the numbers of connections and users of a channel, on all workers. Rejects like `presence`. */
  async presenceStats(name: string): Promise<PresenceStats> {
    const { stats } = await this.#presenceOf(name).list(name, 0);
    return stats;
  }

  /**
   * Keeps the members of a channel with presence or joinLeave known to this worker, for `membersOf`.
   * @param ready called when they are known; not called without a broker
   * @returns ends it
   */
  watchMembers(name: string, ready: () => void): () => void {
    return this.#presence?.watch(name, ready) ?? (() => undefined);
  }

  /** Returns the members of a watched channel by connection id; each change of them is told to subscriptions. */
  membersOf(name: string): ReadonlyMap<string, PresentMember> {
    return this.#presence?.membersOf(name) ?? new Map<string, PresentMember>();
  }

  #presenceOf(name: string): LocalPresence {
    if (this.#presence && this.optionsOf(name).presence) return this.#presence;
    throw new HubError('bad_request', 'the channel has no presence');
  }

  #hasHistory(name: string): boolean {
    const options = this.#registry.get(name)?.options ?? this.#namespaces.of(name);
    return options !== null && options.historySize > 0;
  }

  /** null: the channel has no history. */
  #streamsOf({ options }: LocalChannel): Streams | null {
    return options.historySize > 0 ? this.#streams : null;
  }

  /**
   * Returns whether publishers of the channel should pause, because its publications arrive faster than local
   * clients, siblings or the broker take them.
   */
  isCongested(name: string): boolean {
    return this.#congestion.has(name) || (this.#congestion.has(broker) && this.#hasHistory(name));
  }

  /** Calls `resume` when the channel is no longer congested, or at once if it is not. */
  whenFlowing(name: string, resume: () => void): void {
    const isBroker = !this.#congestion.has(name) && this.#hasHistory(name);
    this.#congestion.wait(isBroker ? broker : name, resume);
  }

  /** Returns the local part of a channel; undefined: this worker has no subscribers. */
  channel(name: string): ChannelView | undefined {
    return this.#registry.get(name);
  }

  /** Number of channels with a subscriber on this worker. */
  get channelCount(): number {
    return this.#registry.size;
  }

  /** Returns the state of the whole hub, as this worker knows it. */
  state(): HubState {
    const own = { workerId: this.workerId, connections: this.connections(), channels: this.channelCount };
    const workers = [own, ...this.#relay.siblings()];
    const list = () => [...channelList(this.workerId, this.#registry.channels(), this.#relay)];
    return {
      workerId: this.workerId,
      connections: workers.reduce((total, { connections }) => total + connections, 0),
      workers,
      get channels() {
        return list();
      },
    };
  }

  /** Returns the channels of the whole hub, as this worker knows them, in several turns of the event loop. */
  async listChannels(): Promise<ChannelSummary[]> {
    const list: ChannelSummary[] = [];
    await inSlices(channelList(this.workerId, this.#registry.channels(), this.#relay), (channel) => {
      list.push(channel);
    });
    return list;
  }

  /** Returns the number of channels of the whole hub, as this worker knows it. Iterates over all local channels. */
  knownChannels(): number {
    let onlyHere = 0;
    for (const { name } of this.#registry.channels()) if (!this.#relay.knows(name)) onlyHere += 1;
    return onlyHere + this.#relay.remoteChannelCount;
  }

  /** Returns whether the channel has a subscriber on any worker, as this worker knows it. */
  hasChannel(name: string): boolean {
    return this.#registry.get(name) !== undefined || this.#relay.knows(name);
  }

  /** Returns an upper bound of `knownChannels`, in constant time. */
  maxKnownChannels(): number {
    return this.channelCount + this.#relay.remoteChannelCount;
  }

  /** Flushes at once, without waiting for batching windows or the end of the turn. */
  flush(): void {
    this.#flush(Infinity);
  }

  #flush(now: number): number {
    const relayWait = this.#relay.flush(now);
    const presenceWait = this.#presence?.flush(now) ?? Infinity;
    const wait = Math.min(relayWait, presenceWait, this.#fanout.flush(now));
    if (this.#collecting.length > 0) {
      const clients = this.#collecting;
      this.#collecting = [];
      for (const client of clients) client.release();
    }
    return wait;
  }

  // Subscriptions

  releaseLater(client: Client): void {
    this.#collecting.push(client);
    this.#turn.request();
  }

  catchUp({ subscriptions }: Client): void {
    for (const subscription of subscriptions) this.#fanout.catchUp(subscription.channel, subscription);
  }

  unsubscribeAll({ subscriptions }: Client): void {
    for (const subscription of subscriptions.toReversed()) this.unsubscribe(subscription);
  }

  // BrokerLinkEvents

  publication(name: string, { epoch, offset, time, payload, meta, sender, readAt, trace }: Delivery): void {
    const channel = this.#registry.get(name);
    if (!channel || channel.members.size === 0) return;
    this.#presence?.precede(name);
    const excluded = sender === 0 ? null : (this.#senders.get(sender) ?? null);
    const publication = new Publication(payload, 'relay', excluded, readAt === 0 ? now() : readAt);
    publication.stored = { position: { epoch, offset }, time, meta };
    if (trace.length > 0) publication.traced = { traceContext: trace, startedAt: now(), relaySeconds: null };
    this.#fanout.push(channel, publication);
    this.#turn.request();
  }

  /** Ends the subscriptions of a channel with lost publications, so that clients resume from their positions. */
  gap(name: string): void {
    const members = [...(this.#registry.get(name)?.members ?? [])];
    for (const subscription of members) this.unsubscribe(subscription); // they must not get publications after the gap
    void inSlices(members, (subscription) => {
      subscription.client.endSubscription(subscription, 'insufficient_state');
    });
  }

  member(name: string, event: MemberEvent): void {
    this.#presence?.changed(name, event);
  }

  // RelayHost

  channels(): MapIterator<ChannelView & LocalChannel> {
    return this.#registry.channels();
  }

  deliver(channelId: number, publication: Publication): void {
    const channel = this.#registry.getById(channelId);
    if (!channel || channel.members.size === 0) return;
    this.#fanout.push(channel, publication as Publication<Subscription>); // a relayed publication has no local sender
    this.#turn.request();
  }

  deliverNamed(name: string, publication: Publication): void {
    const channel = this.#registry.get(name);
    if (channel) this.deliver(channel.id, publication);
  }

  /** Sends the subscribers a notice in place of the lost publications. */
  lost(channelId: number, count: number): void {
    const notice = new Publication(Buffer.from(skippedMessage(count)), 'relay');
    notice.isNotice = true;
    this.deliver(channelId, notice);
  }

  congested(channel: string, isCongested: boolean): void {
    if (isCongested) this.#congestion.begin(channel);
    else this.#congestion.end(channel);
  }

  wake(): void {
    this.#turn.request();
  }
}
