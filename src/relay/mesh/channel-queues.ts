/**
 * Publications that wait for a sibling that reads more slowly than it is written to: a queue per channel, served in
 * turn, so that a bystander waits for one share of each busy channel and not for all of it. Promises the order within
 * a channel and that no more than its bound waits; past the bound the channel with the most bytes loses its newest
 * publications, and a mark in their place says how many. Knows no socket and no clock.
 */
import { congestedBytes, shareBytes } from './tuning.ts';

/** What a waiting frame costs besides its bytes. */
const overheadBytes = 128;

/** Publications that were dropped; the mark stands in their place. */
export interface Lost {
  /** the sibling's number of the channel; null: the sibling did not listen to it as far as was known */
  readonly channelId: number | null;
  readonly count: number;
}

/** What becomes of a channel that waits. */
export interface ChannelQueuesOwner {
  /** More of the channel waits than should: its publishers are to pause. Called with false when that is over. */
  congested(channel: string, isCongested: boolean): void;
  /** A publication was dropped. */
  dropped(): void;
}

interface Queue {
  readonly channel: string;
  /** see Lost */
  channelId: number | null;
  /** frames as they go onto the link, oldest first */
  items: (Buffer | Lost)[];
  /** how many of the items have been taken */
  taken: number;
  bytes: number;
  /** the sibling takes no more of it for now */
  held: boolean;
  congested: boolean;
  /** it is in `#ready` */
  listed: boolean;
}

export class ChannelQueues {
  /** bytes that wait, with what their frames cost besides */
  bytes = 0;
  /** publications that wait */
  frames = 0;
  readonly #maxBytes: number;
  readonly #owner: ChannelQueuesOwner;
  /** channels of which something waits, or that are held */
  readonly #queues = new Map<string, Queue>();
  /** those that may be taken from, in the order of their turns */
  #ready: Queue[] = [];
  /** the one with the most bytes when that was last looked at */
  #largest: Queue | null = null;

  constructor(maxBytes: number, owner: ChannelQueuesOwner) {
    this.#maxBytes = maxBytes;
    this.#owner = owner;
  }

  /** Number of channels of which something waits, or that are held. */
  get size(): number {
    return this.#queues.size;
  }

  /** Something waits that may be taken. */
  isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** What is published on the channel must go behind what waits of it. */
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
    while (this.bytes > this.#maxBytes) this.#dropNewest(this.#hog());
    this.#list(queue);
  }

  /** The sibling takes no more of the channel until it is released. */
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

  /** Hands over one share of the channel whose turn it is; nothing if no channel is ready. */
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

  /** Forgets all, as the link is gone. Returns the number of publications that waited. */
  clear(): number {
    const { frames } = this;
    this.frames = 0;
    for (const queue of this.#queues.values()) this.#resize(queue, -queue.bytes);
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

  /** Forgets a queue of which nothing waits and that nobody holds. */
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

  /** The channel with the most bytes. It is looked for anew only when the last one has shrunk below its fair share. */
  #hog(): Queue {
    let hog = this.#largest;
    if (hog === null || hog.bytes * this.#queues.size < this.bytes) {
      for (const queue of this.#queues.values()) if (hog === null || queue.bytes > hog.bytes) hog = queue;
      this.#largest = hog;
    }
    return hog as Queue; // it is called when something waits
  }

  /** Drops the newest frame; the mark in its place takes in those around it. */
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
