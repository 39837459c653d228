/**
 * Which worker listens to which channel, and the delivery to it: each publication once, in the order of offsets. A worker
 * that does not read gets nothing more for now; once it has read, it gets what it missed from the history, or is told of
 * a gap where the history does not reach back that far.
 */
import type { Append, Page, Position, Range, Stored } from '../engine/engine.ts';
import type { BrokerCounters } from '../metrics/broker-metrics.ts';
import type { FrameSocket } from '../relay/broker-link/frame-socket.ts';

/** One worker's link. */
export interface WorkerLink {
  readonly socket: FrameSocket;
  /** unique for all time; `''`: it has not said hello */
  life: string;
  workerId: string;
  /** by the worker's number of the channel; only deliveries.ts changes them */
  readonly subscriptions: Map<number, Subscription>;
  /** so much waits for it that it gets nothing until it has read */
  isBehind: boolean;
  /** the highest number of an append that is stored and not yet acknowledged; 0: none */
  toAcknowledge: number;
  /** questions that wait until it has read its answers */
  readonly waitingReads: (() => Promise<void>)[];
  isClosed: boolean;
}

/** A worker listens to a channel. */
interface Subscription {
  readonly id: number;
  readonly channel: string;
  readonly link: WorkerLink;
  /** up to where the worker was told; null: not yet */
  position: Position | null;
  /**
   * `live`: publications go out as they come. `reading`: an answer of the history goes out first. `stale`: the same, and
   * a publication has come that may not be in it. `behind`: the link is, and a publication was left out.
   */
  state: 'live' | 'reading' | 'stale' | 'behind';
  isEnded: boolean;
}

export interface DeliveriesOptions {
  history: (channel: string, range: Range) => Promise<Page>;
  /** asks for a flush of the links */
  wake: () => void;
  /** what may wait for one worker before it is left behind */
  maxBufferedBytes: number;
  counters: BrokerCounters;
}

/** More than this is not read in one go; a worker that missed more is told of a gap. */
export const maxReadBytes = 16 * 1024 * 1024;
const everything: Omit<Range, 'since'> = { limit: 1_000_000, limitBytes: maxReadBytes };
const nothing: Omit<Range, 'since'> = { limit: 0, limitBytes: 0 };

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #channels = new Map<string, Set<Subscription>>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Some worker listens to the channel. */
  isUsed(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** @param since where the worker was before, over another link; null: it listens from now on */
  subscribe(link: WorkerLink, id: number, since: Position | null, channel: string): void {
    this.unsubscribe(link, id);
    const subscription: Subscription = {
      id,
      channel,
      link,
      position: null,
      state: 'reading',
      isEnded: false,
    };
    link.subscriptions.set(id, subscription);
    let listeners = this.#channels.get(channel);
    if (!listeners) this.#channels.set(channel, (listeners = new Set()));
    listeners.add(subscription);
    void this.#tellFrom(subscription, since);
  }

  unsubscribe(link: WorkerLink, id: number): void {
    const subscription = link.subscriptions.get(id);
    if (!subscription) return;
    subscription.isEnded = true;
    link.subscriptions.delete(id);
    const listeners = this.#channels.get(subscription.channel);
    listeners?.delete(subscription);
    if (listeners?.size === 0) this.#channels.delete(subscription.channel);
  }

  closed(link: WorkerLink): void {
    for (const id of [...link.subscriptions.keys()]) this.unsubscribe(link, id);
  }

  /** Delivers a publication that was stored. */
  deliver(append: Append, position: Position, time: number): void {
    for (const subscription of this.#channels.get(append.channel) ?? []) {
      this.#deliverTo(subscription, append, position, time);
    }
  }

  /** The worker may have read what waited for it: it is told what it missed, as far as that fits. */
  async resume(link: WorkerLink): Promise<void> {
    const { maxBufferedBytes } = this.#options;
    if (!link.isBehind || link.socket.bufferedBytes > maxBufferedBytes / 2) return;
    link.isBehind = false;
    for (const subscription of [...link.subscriptions.values()]) {
      if (link.isClosed) return;
      if (subscription.state !== 'behind') continue;
      if (link.socket.bufferedBytes > maxBufferedBytes) {
        link.isBehind = true;
        return;
      }
      await this.#tellFrom(subscription, subscription.position);
    }
  }

  #deliverTo(subscription: Subscription, append: Append, position: Position, time: number): void {
    const { link, id, state, position: told } = subscription;
    if (state !== 'live' || !told) {
      if (state === 'reading') subscription.state = 'stale';
      return;
    }
    if (link.isBehind || link.socket.bufferedBytes > this.#options.maxBufferedBytes) {
      link.isBehind = true;
      subscription.state = 'behind';
      return;
    }
    if (position.epoch !== told.epoch) {
      this.#tellGap(subscription, { epoch: position.epoch, offset: position.offset - 1 });
    } else if (position.offset <= told.offset) {
      return;
    } else if (position.offset > told.offset + 1) {
      void this.#tellFrom(subscription, told);
      return;
    }
    const sender = append.worker === link.life ? append.sender : 0;
    link.socket.out.publication(id, position.offset, time, sender, append);
    subscription.position = position;
  }

  /** Tells the worker what follows a position, and everything that comes then. @param since null: from the top */
  async #tellFrom(subscription: Subscription, since: Position | null): Promise<void> {
    const { link, channel } = subscription;
    let from = since;
    do {
      subscription.state = 'reading';
      const page = await this.#options.history(channel, { ...(from ? everything : nothing), since: from });
      if (subscription.isEnded || link.isClosed) return;
      this.#tell(subscription, from ?? page.top, page);
      from = page.top;
      this.#options.wake();
    } while (this.#isStale(subscription));
    subscription.state = 'live';
  }

  /** A publication has come while the engine read, which may not be in its answer. */
  #isStale({ state }: Subscription): boolean {
    return state === 'stale';
  }

  #tell(subscription: Subscription, from: Position, { complete, messages, top }: Page): void {
    const { link, id, position } = subscription;
    if (!complete) {
      this.#tellGap(subscription, top);
      return;
    }
    if (position === null) link.socket.out.subscribed(id, from, false);
    if (messages.length > 0) this.#options.counters.gaps.filled += 1;
    for (const stored of messages satisfies readonly Stored[]) link.socket.out.stored(id, stored);
    subscription.position = top;
  }

  /** Publications before this position are lost for the worker. */
  #tellGap(subscription: Subscription, position: Position): void {
    this.#options.counters.gaps.insufficient += 1;
    subscription.link.socket.out.subscribed(subscription.id, position, true);
    subscription.position = position;
  }
}
