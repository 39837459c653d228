/**
 * The subscriptions of workers, and the deliveries to them: each publication once, in the order of offsets. A slow
 * worker gets no deliveries. When it has read its buffer, it gets the missed publications from the history, or a gap
 * if the history does not reach back far enough.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Append, Page, Position, Range, SharedEngine, Stored } from '../engine/engine.ts';
import type { BrokerCounters } from '../metrics/broker-metrics.ts';
import type { FrameSocket } from '../relay/broker-link/frame-socket.ts';

/** The link of one worker. */
export interface WorkerLink {
  readonly socket: FrameSocket;
  /** identifies the worker process, never used again; `''`: the hello was not received yet */
  life: string;
  workerId: string;
  /** by the number of the channel in the worker; only deliveries.ts changes them */
  readonly subscriptions: Map<number, Subscription>;
  /** its buffer is over the limit, so it gets no deliveries until it has drained */
  isBehind: boolean;
  /** the highest number of an append that is stored and not yet acknowledged; 0: none */
  toAcknowledge: number;
  /** reads that wait until the worker has read earlier answers */
  readonly waitingReads: (() => Promise<void>)[];
  isClosed: boolean;
}

/** The subscription of a worker to a channel. */
interface Subscription {
  readonly id: number;
  readonly channel: string;
  readonly link: WorkerLink;
  /** the last position that was sent to the worker; null: none */
  position: Position | null;
  /**
   * The state of the subscription:
   * - `live`: publications are delivered at once
   * - `reading`: a page of the history must be delivered first
   * - `stale`: like `reading`, and a later publication may be missing in the page
   * - `behind`: the link is behind, and a publication was skipped
   * - `waiting`: the engine is not reached; it continues with `retry`
   */
  state: 'live' | 'reading' | 'stale' | 'behind' | 'waiting';
  /** the position after which a waiting subscription continues; null: from the top */
  since: Position | null;
  isEnded: boolean;
}

export interface DeliveriesOptions {
  /** rejects if the engine is not reached */
  history: (channel: string, range: Range) => Promise<Page>;
  /**
   * Resolves when every later publication of the channel is passed to `deliver`; rejects like `history`.
   * - `null`: it always is
   */
  listen: ((channel: string) => Promise<void>) | null;
  /** called when a channel has lost its last subscription */
  unused: (channel: string) => void;
  /** requests a flush of the links */
  wake: () => void;
  /** most bytes that may wait for one worker before its link is behind */
  maxBufferedBytes: number;
  counters: BrokerCounters;
}

/** Most bytes of one read. A worker that missed more gets a gap. */
export const maxReadBytes = 16 * 1024 * 1024;
/** channels of one question for the last positions */
const checkChunk = 512;
const everything: Omit<Range, 'since'> = { limit: 1_000_000, limitBytes: maxReadBytes };
const nothing: Omit<Range, 'since'> = { limit: 0, limitBytes: 0 };

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #channels = new Map<string, Set<Subscription>>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Returns whether a worker has subscribed to the channel. */
  isUsed(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** @param since the position of the worker on an earlier link; null: it wants only later publications */
  subscribe(link: WorkerLink, id: number, since: Position | null, channel: string): void {
    this.unsubscribe(link, id);
    const subscription: Subscription = {
      id,
      channel,
      link,
      position: null,
      state: 'reading',
      since,
      isEnded: false,
    };
    link.subscriptions.set(id, subscription);
    let subscriptions = this.#channels.get(channel);
    if (!subscriptions) this.#channels.set(channel, (subscriptions = new Set()));
    subscriptions.add(subscription);
    void this.#begin(subscription);
  }

  unsubscribe(link: WorkerLink, id: number): void {
    const subscription = link.subscriptions.get(id);
    if (!subscription) return;
    subscription.isEnded = true;
    link.subscriptions.delete(id);
    const subscriptions = this.#channels.get(subscription.channel);
    subscriptions?.delete(subscription);
    if (subscriptions?.size !== 0) return;
    this.#channels.delete(subscription.channel);
    this.#options.unused(subscription.channel);
  }

  closed(link: WorkerLink): void {
    for (const id of [...link.subscriptions.keys()]) this.unsubscribe(link, id);
  }

  /** Delivers a stored publication. */
  deliver(append: Append, position: Position, time: number): void {
    for (const subscription of this.#channels.get(append.channel) ?? []) {
      this.#deliverTo(subscription, append, position, time);
    }
  }

  /** Continues a link that was behind: the worker gets its missed publications, up to the limit of the buffer. */
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
      await this.#sendFrom(subscription, subscription.position);
    }
  }

  /** Continues the subscriptions that wait, when the engine is reached again. */
  retry(): void {
    for (const subscriptions of this.#channels.values()) {
      for (const subscription of subscriptions) {
        if (subscription.state === 'waiting') void this.#begin(subscription);
      }
    }
  }

  /**
   * Compares the last positions of all channels with those that were sent, and sends what is missing.
   * @param graceMs how long publications may be under way
   */
  async check(tops: SharedEngine['tops'], graceMs: number): Promise<void> {
    const channels = [...this.#channels.keys()];
    for (let from = 0; from < channels.length; from += checkChunk) {
      const chunk = channels.slice(from, from + checkChunk);
      const found = await tops(chunk);
      if (graceMs > 0) await sleep(graceMs);
      const late = chunk.flatMap((channel, index) =>
        [...(this.#channels.get(channel) ?? [])].filter((one) => isMissing(one, found[index] ?? null)),
      );
      await Promise.all(late.map((one) => this.#sendFrom(one, one.position)));
    }
  }

  #deliverTo(subscription: Subscription, append: Append, position: Position, time: number): void {
    const { link, id, state, position: sent } = subscription;
    if (state !== 'live' || !sent) {
      if (state === 'reading') subscription.state = 'stale';
      return;
    }
    if (link.isBehind || link.socket.bufferedBytes > this.#options.maxBufferedBytes) {
      link.isBehind = true;
      subscription.state = 'behind';
      return;
    }
    if (position.epoch !== sent.epoch || position.offset > sent.offset + 1) {
      void this.#sendFrom(subscription, sent);
      return;
    }
    if (position.offset <= sent.offset) return;
    const sender = append.worker === link.life ? append.sender : 0;
    link.socket.out.publication(id, position.offset, time, sender, append);
    subscription.position = position;
  }

  /** Begins or continues a subscription; without the engine it waits. */
  async #begin(subscription: Subscription): Promise<void> {
    const { listen } = this.#options;
    subscription.state = 'reading';
    if (listen) {
      const isHeard = await listen(subscription.channel).then(
        () => true,
        () => false,
      );
      if (!isHeard) {
        subscription.state = 'waiting';
        return;
      }
    }
    await this.#sendFrom(subscription, subscription.since);
  }

  /**
   * Sends the publications after a position, and makes the subscription live.
   * @param since null: from the top
   */
  async #sendFrom(subscription: Subscription, since: Position | null): Promise<void> {
    const { link, channel } = subscription;
    let from = since;
    do {
      subscription.state = 'reading';
      const range = { ...(from ? everything : nothing), since: from };
      const page = await this.#options.history(channel, range).catch(() => null);
      if (subscription.isEnded || link.isClosed) return;
      if (page === null) {
        subscription.state = 'waiting';
        subscription.since = from;
        return;
      }
      this.#sendPage(subscription, from ?? page.top, page);
      from = page.top;
      this.#options.wake();
    } while (this.#isStale(subscription));
    subscription.state = 'live';
  }

  /** Returns whether a publication was stored during the read, which may be missing in the page. */
  #isStale({ state }: Subscription): boolean {
    return state === 'stale';
  }

  #sendPage(subscription: Subscription, from: Position, { complete, messages, top }: Page): void {
    const { link, id, position } = subscription;
    if (!complete) {
      this.#sendGap(subscription, top);
      return;
    }
    if (position === null) link.socket.out.subscribed(id, from, false);
    if (messages.length > 0) this.#options.counters.gaps.filled += 1;
    for (const stored of messages satisfies readonly Stored[]) link.socket.out.stored(id, stored);
    subscription.position = top;
  }

  /** Sends a gap: publications before this position are lost for the worker. */
  #sendGap(subscription: Subscription, position: Position): void {
    this.#options.counters.gaps.insufficient += 1;
    subscription.link.socket.out.subscribed(subscription.id, position, true);
    subscription.position = position;
  }
}

/** Returns whether a live subscription has not received everything up to a position; null: its epoch has ended. */
function isMissing({ state, position }: Subscription, top: Position | null): boolean {
  if (state !== 'live' || !position) return false;
  return top?.epoch !== position.epoch || position.offset < top.offset;
}
