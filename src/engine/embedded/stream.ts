/** The kept publications of one channel, in memory: an array with contiguous offsets. Knows no clock and no file. */
import type { HistoryRule, Page, Position, Range, Stored } from '../engine.ts';

/** A kept publication. */
export interface Entry extends Stored {
  /** its share of the memory limit */
  readonly bytes: number;
  /** the worker process that appended it */
  readonly worker: string;
  /** number of the append in that process */
  readonly number: number;
}

/** memory of an entry without its strings, by a heap snapshot of Node 24 */
const entryBytes = 120;
/** memory of a stream without messages, including its entries in the map and the usage order */
const streamBytes = 320;

/** Returns the memory of an entry. */
export function sizeOfEntry(payload: string, meta: string): number {
  return entryBytes + payload.length + meta.length;
}

/**
 * Number of dropped entries at the start of the array before it is copied; they must also outnumber the kept ones.
 */
const slackEntries = 32;

export class Stream {
  readonly name: string;
  readonly epoch: string;
  /** the last offset that was given; 0: none */
  top = 0;
  /** memory of the stream, in bytes */
  bytes: number;
  /** last use, in milliseconds of the clock of the engine */
  usedAt: number;
  /** neighbours in the order of use; null: none. Only usage-order.ts changes them. */
  older: Stream | null = null;
  newer: Stream | null = null;
  #entries: Entry[] = [];
  #head = 0;

  constructor(name: string, epoch: string, now: number) {
    this.name = name;
    this.epoch = epoch;
    this.usedAt = now;
    this.bytes = streamBytes + 2 * name.length;
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** offset of the oldest kept message, or of the next one if there is none */
  get firstOffset(): number {
    return this.top - this.length + 1;
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.top };
  }

  /** Appends an entry. Its offset must be the next one. */
  push(entry: Entry): void {
    this.#entries.push(entry);
    this.top = entry.offset;
    this.bytes += entry.bytes;
  }

  /**
   * Drops the oldest messages above the size of the rule.
   * @returns number of dropped messages
   */
  trimSize({ historySize }: HistoryRule): number {
    return this.#drop(this.length - historySize);
  }

  /**
   * Drops messages that were stored at this time or before.
   * @returns number of dropped messages
   */
  trimUntil(time: number): number {
    let count = 0;
    while (count < this.length && this.#at(count).time <= time) count += 1;
    return this.#drop(count);
  }

  /**
   * Drops all messages.
   * @returns number of dropped messages
   */
  clear(): number {
    return this.#drop(this.length);
  }

  /** Reads a part; see `Page` and `Range`. */
  read({ since, limit, limitBytes, page }: Range): Page {
    const top = this.position;
    const incomplete = { top, complete: false, messages: [] };
    if (since && (since.epoch !== this.epoch || since.offset > this.top || since.offset < 0))
      return incomplete;
    if (page === 'forward') {
      const start = since ? since.offset + 1 - this.firstOffset : 0;
      if (start < 0) return incomplete;
      const end = this.#walk(start, 1, limit, limitBytes);
      return { top, complete: true, messages: this.#slice(start, end), more: end < this.length };
    }
    if (page === 'reverse') {
      const end = since ? Math.max(0, since.offset - this.firstOffset) : this.length;
      const start = this.#walk(end - 1, -1, limit, limitBytes) + 1;
      return { top, complete: true, messages: this.#slice(start, end), more: start > 0 };
    }
    if (since === null) return { top, complete: true, messages: this.#last(limit, limitBytes) };
    const count = this.top - since.offset;
    if (count > this.length || count > limit) return incomplete;
    const messages = this.#entries.slice(this.#entries.length - count);
    const bytes = messages.reduce((sum, { payload, meta }) => sum + payload.length + meta.length, 0);
    return bytes > limitBytes ? incomplete : { top, complete: true, messages };
  }

  /** Returns the entry of an append; undefined: it is not kept. */
  find(worker: string, number: number): Entry | undefined {
    return this.#entries.findLast((entry) => entry.worker === worker && entry.number === number);
  }

  /** Oldest first. */
  entries(): readonly Entry[] {
    return this.#entries.slice(this.#head);
  }

  #last(limit: number, limitBytes: number): Entry[] {
    let [from, bytes] = [this.#entries.length, 0];
    const least = Math.max(this.#head, from - limit);
    while (from > least) {
      const { payload, meta } = this.#at(from - this.#head - 1);
      bytes += payload.length + meta.length;
      if (bytes > limitBytes) break;
      from -= 1;
    }
    return this.#entries.slice(from);
  }

  /** Steps over entries while they fit, at least over one. @returns the index of the first one that does not */
  #walk(start: number, step: 1 | -1, limit: number, limitBytes: number): number {
    let [index, bytes] = [start, 0];
    while (index >= 0 && index < this.length && Math.abs(index - start) < limit) {
      const { payload, meta } = this.#at(index);
      bytes += payload.length + meta.length;
      if (bytes > limitBytes && index !== start) break;
      index += step;
    }
    return index;
  }

  #slice(start: number, end: number): Entry[] {
    return this.#entries.slice(this.#head + start, this.#head + end);
  }

  #at(index: number): Entry {
    const entry = this.#entries[this.#head + index];
    if (!entry) throw new RangeError(`no entry ${index}`);
    return entry;
  }

  #drop(count: number): number {
    if (count <= 0) return 0;
    for (let index = 0; index < count; index++) this.bytes -= this.#at(index).bytes;
    this.#head += count;
    if (this.length === 0) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head > slackEntries && this.#head > this.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return count;
  }
}
