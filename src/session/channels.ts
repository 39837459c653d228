/**
 * The channels of one session: those that the client has subscribed, those that the hub has subscribed for it, and joins in
 * progress. Commands for a channel wait while its join is in progress.
 */
import type { Expiries } from '../auth/expiries.ts';
import type { Subscription } from '../client/client.ts';

/** Seconds in which a client may renew a token that has expired. */
export const expiryGraceSeconds = 25;

export class SessionChannel {
  readonly name: string;
  readonly session: ChannelOwner;
  /** null: its first join is in progress */
  subscription: Subscription | null = null;
  isJoining = true;
  /** the hub has subscribed, not the client */
  isServerSide = false;
  /** when the subscription ends, as Unix time in seconds; Infinity: it does not */
  endsAt = Infinity;
  /** commands that wait for the join */
  readonly waiting: (() => void)[] = [];

  constructor(name: string, session: ChannelOwner) {
    this.name = name;
    this.session = session;
  }
}

/** The session of a channel. */
export interface ChannelOwner {
  /** The token of a subscription was not renewed in time. */
  expired(channel: SessionChannel): void;
  /** `waiting` has changed. */
  channelsWait(): void;
}

export class SessionChannels {
  readonly #owner: ChannelOwner;
  readonly #expiries: Expiries<SessionChannel>;
  readonly #byName = new Map<string, SessionChannel>();
  /** number of commands that wait for joins; only this class changes it */
  waiting = 0;

  constructor(owner: ChannelOwner, expiries: Expiries<SessionChannel>) {
    this.#owner = owner;
    this.#expiries = expiries;
  }

  /** Number of subscriptions and joins. */
  get size(): number {
    return this.#byName.size;
  }

  /** Returns the subscription of the client to a channel; null: none, or not yet. */
  subscription(name: string): Subscription | null {
    return this.#byName.get(name)?.subscription ?? null;
  }

  get(name: string): SessionChannel | undefined {
    return this.#byName.get(name);
  }

  /** Calls `run` when no join of the channel is in progress, at once if there is none. */
  whenSettled(name: string, run: () => void): void {
    const channel = this.#byName.get(name);
    if (!channel?.isJoining) {
      run();
      return;
    }
    channel.waiting.push(run);
    this.waiting += 1;
    this.#owner.channelsWait();
  }

  /** Begins a join. A subscription that exists stays until `joined`. */
  begin(name: string): SessionChannel {
    const known = this.#byName.get(name);
    if (known) {
      known.isJoining = true;
      return known;
    }
    const channel = new SessionChannel(name, this.#owner);
    this.#byName.set(name, channel);
    return channel;
  }

  /** Ends a join with a subscription. */
  joined(channel: SessionChannel, subscription: Subscription): void {
    channel.subscription = subscription;
    this.#byName.set(channel.name, channel); // it may have been removed meanwhile
  }

  /**
   * The join is over: the waiting commands are executed, after the answer to the join. A channel without a subscription is
   * forgotten.
   */
  settle(channel: SessionChannel): void {
    channel.isJoining = false;
    if (channel.subscription === null) this.delete(channel);
    const waiting = channel.waiting.splice(0);
    if (waiting.length === 0) return;
    this.waiting -= waiting.length;
    for (const run of waiting) this.whenSettled(channel.name, run);
    this.#owner.channelsWait();
  }

  /** @param expiresAt Unix time in seconds; Infinity: never */
  expire(channel: SessionChannel, expiresAt: number): void {
    this.#expiries.delete(channel, channel.endsAt);
    channel.endsAt = expiresAt + expiryGraceSeconds;
    this.#expiries.add(channel, channel.endsAt);
  }

  delete(channel: SessionChannel): void {
    if (this.#byName.get(channel.name) === channel) this.#byName.delete(channel.name);
    this.#expiries.delete(channel, channel.endsAt);
  }

  /** The session has ended. */
  clear(): void {
    for (const channel of [...this.#byName.values()]) this.delete(channel);
  }
}
