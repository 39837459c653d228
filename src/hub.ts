/**
 * The hub in one worker: subscribes clients to channels, delivers to local subscribers, and publishes to everyone.
 * `publish` leaves the worker, `deliver` does not, and what comes from a sibling may only be delivered. All that one turn
 * of the event loop brings is written out together: to the siblings first, then to the sockets.
 */
import { batchingLimits } from './channel/batching.ts';
import type { Channel } from './channel/channel.ts';
import { Congestion } from './channel/congestion.ts';
import { FanOut } from './channel/fan-out.ts';
import { Publication } from './channel/publication.ts';
import { Registry } from './channel/registry.ts';
import { type Client, Subscription, type SubscriptionOptions } from './client/client.ts';
import type { Subscriptions } from './client/clients.ts';
import type { ChannelOptions, Namespaces } from './config/namespaces.ts';
import type { Counters } from './metrics/counters.ts';
import { HubError } from './platform/errors.ts';
import { FlushScheduler } from './platform/flush-scheduler.ts';
import { skippedMessage } from './protocol/plain/messages.ts';
import { tooBig, type Relay, type RelayHost, type RemoteMembers, type Sibling } from './relay/relay.ts';
import type { OnTraced } from './tracing/traced.ts';

/** The whole hub as one worker knows it; what siblings hold is at most a second old. */
export interface HubState {
  /** the worker that speaks */
  workerId: string;
  /** connections of all workers */
  connections: number;
  workers: Sibling[];
  channels: { channel: string; connections: number; workers: RemoteMembers[] }[];
}

export interface HubOptions {
  workerId: string;
  /** see settings.ts */
  maxBatchDelayMs: number;
  workers: number;
  relay: Relay;
  namespaces: Namespaces;
  /** number of this worker's connections */
  connections: () => number;
  counters: Counters;
  /** called once per traced publication */
  onTraced?: OnTraced;
}

type LocalChannel = Channel<Subscription>;

/** A channel of this worker, to look at. */
export type ChannelView = Pick<LocalChannel, 'name'> & { readonly members: ReadonlySet<Subscription> };

export class Hub implements Subscriptions, RelayHost {
  readonly workerId: string;
  readonly #registry: Registry<Subscription>;
  readonly #relay: Relay;
  readonly #namespaces: Namespaces;
  readonly #fanout: FanOut<Subscription>;
  readonly #congestion = new Congestion();
  readonly #counters: Counters;
  /** see RelayHost */
  readonly connections: () => number;
  /** clients that collect what is written to them until the end of the turn */
  #collecting: Client[] = [];
  readonly #turn = new FlushScheduler(() => this.#flush(performance.now()));

  constructor(options: HubOptions) {
    const { maxBatchDelayMs, workers, relay, counters } = options;
    this.connections = options.connections;
    this.workerId = options.workerId;
    this.#counters = counters;
    this.#relay = relay;
    this.#namespaces = options.namespaces;
    this.#registry = new Registry<Subscription>({
      opened: (channel) => {
        relay.announce(channel);
      },
      closed: (channel) => {
        this.#fanout.forget(channel);
        relay.withdraw(channel);
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

  /** The options of a channel. @throws {HubError} `unknown_namespace` */
  optionsOf(name: string): ChannelOptions {
    const options = this.#namespaces.of(name);
    if (options === null) throw new HubError('unknown_namespace');
    return options;
  }

  /** Begins a join: the siblings learn of the channel. It ends with `subscribe` or `release`. */
  reserve(name: string): LocalChannel {
    return this.#registry.reserve(name);
  }

  /** Calls `ready` once every sibling sends the channel's publications here, at once if they do already. */
  whenKnown(channel: LocalChannel, ready: () => void): void {
    this.#relay.whenKnown(channel, ready);
  }

  /** Ends a join. What is written to the client in this turn goes before any publication of the channel. */
  subscribe(channel: LocalChannel, client: Client, options: SubscriptionOptions): Subscription {
    const subscription = new Subscription(client, channel, options);
    this.#registry.subscribe(channel, subscription);
    client.subscriptions.push(subscription);
    this.#fanout.joined(channel, subscription);
    this.#relay.membersChanged(channel);
    return subscription;
  }

  /** Ends a join whose client has gone. */
  release(channel: LocalChannel): void {
    this.#registry.release(channel);
  }

  /** Ends a subscription, after writing what it still owes the client. */
  unsubscribe(subscription: Subscription): void {
    const { channel, client } = subscription;
    const index = client.subscriptions.indexOf(subscription);
    if (index === -1) return;
    this.#fanout.flushTo(channel, subscription);
    this.#relay.membersChanged(channel);
    client.subscriptions.splice(index, 1);
    this.#registry.unsubscribe(channel, subscription);
  }

  /**
   * Sends a publication to everyone on the channel, whichever worker they are on.
   * @throws {HubError} `message_too_big`: the relay cannot carry it, so it is not delivered here either;
   *   `unknown_namespace`
   */
  publish(name: string, publication: Publication<Subscription>): void {
    const { payload, source } = publication;
    if (payload.length > this.#relay.maxPublicationBytes) throw tooBig(payload.length);
    const channel = this.#registry.get(name);
    if (!channel) this.optionsOf(name);
    if (source !== 'relay') this.#counters.received[source] += 1;
    this.#relay.publish(name, publication, channel?.members.size ?? 0, performance.now());
    if (channel) this.#fanout.push(channel, publication);
    this.#turn.request();
  }

  /** Publications of the channel come faster than they are written here or taken by a sibling: publishers should pause. */
  isCongested(name: string): boolean {
    return this.#congestion.has(name);
  }

  /** Calls back when the channel is no longer congested, at once if it is not. */
  whenFlowing(name: string, resume: () => void): void {
    this.#congestion.wait(name, resume);
  }

  /** The channel as far as it is on this worker. */
  channel(name: string): ChannelView | undefined {
    return this.#registry.get(name);
  }

  /** Number of channels with a subscriber on this worker. */
  get channelCount(): number {
    return this.#registry.size;
  }

  /** What the whole hub holds, as this worker knows it. Walks through all channels. */
  state(): HubState {
    const channels = new Map<string, RemoteMembers[]>();
    for (const { name, members } of this.#registry.channels()) {
      channels.set(name, [{ workerId: this.workerId, connections: members.size }]);
    }
    for (const [name, remote] of this.#relay.remoteChannels()) {
      channels.set(name, [...(channels.get(name) ?? []), ...remote]);
    }
    const own = { workerId: this.workerId, connections: this.connections(), channels: this.channelCount };
    const workers = [own, ...this.#relay.siblings()];
    return {
      workerId: this.workerId,
      connections: sum(workers),
      workers,
      channels: Array.from(channels, ([channel, on]) => ({ channel, connections: sum(on), workers: on })),
    };
  }

  /** Number of channels of the whole hub, as this worker knows it. */
  knownChannels(): number {
    let onlyHere = 0;
    for (const { name } of this.#registry.channels()) if (!this.#relay.knows(name)) onlyHere += 1;
    return onlyHere + this.#relay.remoteChannelCount;
  }

  /** The channel has a subscriber on some worker, as far as this one knows. */
  hasChannel(name: string): boolean {
    return this.#registry.get(name) !== undefined || this.#relay.knows(name);
  }

  /** Never fewer than `knownChannels`, and known at once. */
  maxKnownChannels(): number {
    return this.channelCount + this.#relay.remoteChannelCount;
  }

  /** Writes out at once what waits for the end of the turn. */
  flush(): void {
    this.#flush(Infinity);
  }

  #flush(now: number): number {
    const wait = Math.min(this.#relay.flush(now), this.#fanout.flush(now));
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

  // RelayHost

  channels(): MapIterator<ChannelView & LocalChannel> {
    return this.#registry.channels();
  }

  deliver(channelId: number, publication: Publication): void {
    const channel = this.#registry.getById(channelId);
    if (!channel || channel.members.size === 0) return;
    this.#fanout.push(channel, publication as Publication<Subscription>); // a relayed one has no sender here
    this.#turn.request();
  }

  deliverNamed(name: string, publication: Publication): void {
    const channel = this.#registry.get(name);
    if (channel) this.deliver(channel.id, publication);
  }

  /** Tells the subscribers in the place of what they did not get. */
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

function sum(parts: readonly { connections: number }[]): number {
  return parts.reduce((total, { connections }) => total + connections, 0);
}
