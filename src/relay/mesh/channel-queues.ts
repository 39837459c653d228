/**
 * Publications that wait for a slow sibling: a queue per channel, served round robin, so that a quiet channel waits
 * for one share of each busy channel and not for all of it. It promises the order within a channel and a limit on the
 * queued bytes. Above the limit, the channel with the most bytes loses its newest publications, and a mark in their
 * place has their number. Knows no socket and no clock.
 */
import { congestedBytes, shareBytes } from './tuning.ts';

/** memory of a queued frame besides its bytes */
const overheadBytes = 128;

/** The mark that stands in place of dropped publications. */
export interface Lost {
  /** the sibling's number for the channel; null: not known */
  readonly channelId: number | null;
  readonly count: number;
}

/** Called when the state of a queue changes. */
export interface ChannelQueuesOwner {
  /**
   * The queue of the channel is too long, so its publishers should pause.
   * @param isCongested false: they may continue
   */
  congested(channel: string, isCongested: boolean): void;
  /** Called once per dropped publication. */
  dropped(): void;
}

interface Queue {
  readonly channel: string;
  /** see Lost */
  channelId: number | null;
  /** encoded frames and marks, oldest first */
  items: (Buffer | Lost)[];
  /** number of items that have been taken */
  taken: number;
  bytes: number;
  /** the sibling asked for a pause of the channel */
  held: boolean;
  congested: boolean;
  /** it is in `#ready` */
  listed: boolean;
}

export class ChannelQueues {
  /** queued bytes, including the overhead of each frame */
  bytes = 0;
  /** number of queued publications */
  frames = 0;
  readonly #maxBytes: number;
  readonly #owner: ChannelQueuesOwner;
  /** channels that have queued items or are held */
  readonly #queues = new Map<string, Queue>();
  /** queues that may be sent, in the order of their turns */
  #ready: Queue[] = [];
  /** the queue with the most bytes at the last search */
  #largest: Queue | null = null;

  constructor(maxBytes: number, owner: ChannelQueuesOwner) {
    this.#maxBytes = maxBytes;
    this.#owner = owner;
  }

  /** Number of channels that have queued items or are held. */
  get size(): number {
    return this.#queues.size;
  }

  /** Returns whether a queue may be sent. */
  isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** Returns whether the channel has a queue, so that new publications must be appended to it. */
  has(channel: string): boolean {
    return this.#queues.has(channel);
  }

  /** @param channelId see Lost */
  push(channel: string, frame: Buffer, channelId: number | null): void {
    const queue = this.#of(channel);
    queue.channelId = channelId ?? queue.channelId;
    queue.items.push(frame);
    this.frames += 1;
    this.#resize(queue, frame.length + overheadBytes);
    if (this.#largest === null || queue.bytes > this.#largest.bytes) this.#largest = queue;
    while (this.bytes > this.#maxBytes) this.#dropNewest(this.#largestQueue());
    this.#list(queue);
  }

  /** Stops sending the channel until it is released. */
  hold(channel: string): void {
    this.#of(channel).held = true;
  }

  release(channel: string): void {
    const queue = this.#queues.get(channel);
    if (!queue?.held) return;
    queue.held = false;
    this.#list(queue);
    this.#tidy(queue);
  }

  releaseAll(): void {
    for (const channel of [...this.#queues.keys()]) this.release(channel);
  }

  /** Passes one share of the next channel to `put`. Does nothing if no channel is ready. */
  take(put: (item: Buffer | Lost) => void): void {
    const queue = this.#ready.shift();
    if (!queue) return;
    queue.listed = false;
    if (queue.held) return;
    let share = 0;
    while (share < shareBytes && queue.taken < queue.items.length) {
      const item = queue.items[queue.taken++] as Buffer | Lost;
      const bytes = Buffer.isBuffer(item) ? item.length + overheadBytes : 0;
      if (bytes > 0) this.frames -= 1;
      share += bytes;
      this.#resize(queue, -bytes);
      put(item);
    }
    if (queue.taken > 1_000 && queue.taken * 2 > queue.items.length) {
      queue.items = queue.items.slice(queue.taken);
      queue.taken = 0;
    }
    this.#list(queue);
    this.#tidy(queue);
  }

  /**
   * Discards all queues, because the link is closed. Returns the number of discarded publications.
   * @param discard called with the number of each channel, and with those that were dropped from its queue before
   */
  clear(discard: (channel: string, count: number) => void): number {
    const { frames } = this;
    this.frames = 0;
    for (const queue of this.#queues.values()) {
      let count = 0;
      for (const item of queue.items.slice(queue.taken)) count += Buffer.isBuffer(item) ? 1 : item.count;
      if (count > 0) discard(queue.channel, count);
      this.#resize(queue, -queue.bytes);
    }
    this.#queues.clear();
    this.#ready = [];
    this.#largest = null;
    return frames;
  }

  #of(channel: string): Queue {
    let queue = this.#queues.get(channel);
    if (!queue) {
      queue = {
        channel,
        channelId: null,
        items: [],
        taken: 0,
        bytes: 0,
        held: false,
        congested: false,
        listed: false,
      };
      this.#queues.set(channel, queue);
    }
    return queue;
  }

  /** Removes a queue that is empty and not held. */
  #tidy(queue: Queue): void {
    if (queue.held || queue.taken < queue.items.length) return;
    this.#queues.delete(queue.channel);
    if (this.#largest === queue) this.#largest = null;
  }

  #list(queue: Queue): void {
    if (queue.listed || queue.held || queue.taken === queue.items.length) return;
    queue.listed = true;
    this.#ready.push(queue);
  }

  #resize(queue: Queue, bytes: number): void {
    queue.bytes += bytes;
    this.bytes += bytes;
    const isCongested = queue.bytes > (queue.congested ? congestedBytes / 4 : congestedBytes);
    if (isCongested === queue.congested) return;
    queue.congested = isCongested;
    this.#owner.congested(queue.channel, isCongested);
  }

  /** Returns the queue with the most bytes. Searches again only if the last result has less than its fair share. */
  #largestQueue(): Queue {
    let largest = this.#largest;
    if (largest === null || largest.bytes * this.#queues.size < this.bytes) {
      for (const queue of this.#queues.values())
        if (largest === null || queue.bytes > largest.bytes) largest = queue;
      this.#largest = largest;
    }
    return largest as Queue; // called only while items are queued
  }

  /** Drops the newest frame. Its mark replaces the marks next to it and adds up their counts. */
  #dropNewest(queue: Queue): void {
    const { items, channelId } = queue;
    let lost = 1;
    let frame: Buffer | null = null;
    while (items.length > queue.taken) {
      const item = items.at(-1) as Buffer | Lost;
      if (Buffer.isBuffer(item)) {
        if (frame !== null) break;
        frame = item;
      } else lost += item.count;
      items.pop();
    }
    items.push({ channelId, count: lost });
    this.#resize(queue, -(frame?.length ?? 0) - overheadBytes);
    this.frames -= 1;
    this.#owner.dropped();
  }
}
