/** Rebuilds the state from the records of a store. Messages may be repeated and out of order. */
import type { Position } from '../engine.ts';
import { keyTtlMs, type KeyEntry } from './idempotency-keys.ts';
import type { StoredAppend, StoreReader } from './store.ts';
import { sizeOfEntry, type Entry } from './stream.ts';

interface Recovered {
  epoch: string;
  top: number;
  /** by offset */
  entries: Map<number, Entry>;
}

export class Recovery implements StoreReader {
  readonly #now: number;
  readonly #streams = new Map<string, Recovered>();
  readonly #keys = new Map<string, KeyEntry>();
  readonly workers = new Map<string, number>();

  /** @param now milliseconds of the clock of the engine; later times in records are reduced to it */
  constructor(now: number) {
    this.#now = now;
  }

  append({ channel, position, time, payload, meta, key, worker, number }: StoredAppend): void {
    const at = Math.min(time, this.#now);
    const stream = this.#stream(channel, position);
    const { offset } = position;
    const bytes = sizeOfEntry(payload, meta);
    stream.entries.set(offset, { offset, time: at, payload, meta, bytes, worker, number });
    if (key !== '') this.key({ channel, key, position, time: at });
    this.worker(worker, number);
  }

  stream(channel: string, position: Position): void {
    this.#stream(channel, position);
  }

  removed(channel: string, position: Position): void {
    const { entries } = this.#stream(channel, position);
    for (const offset of entries.keys()) if (offset <= position.offset) entries.delete(offset);
  }

  key(entry: KeyEntry): void {
    if (entry.time + keyTtlMs > this.#now) this.#keys.set(`${entry.channel}\n${entry.key}`, entry);
  }

  worker(worker: string, number: number): void {
    this.workers.set(worker, Math.max(number, this.workers.get(worker) ?? 0));
  }

  /** Returns every stream with its messages, oldest first: those before the top without a gap. */
  *streams(): Iterable<{ channel: string; epoch: string; top: number; entries: readonly Entry[] }> {
    for (const [channel, { epoch, top, entries }] of this.#streams) {
      const kept: Entry[] = [];
      for (let offset = top; ; offset--) {
        const entry = entries.get(offset);
        if (!entry) break;
        kept.push(entry);
      }
      yield { channel, epoch, top, entries: kept.reverse() };
    }
  }

  /** Oldest first. */
  keys(): readonly KeyEntry[] {
    return [...this.#keys.values()].sort((a, b) => a.time - b.time);
  }

  /** Returns the stream of a channel. A new epoch discards the messages of the old one. */
  #stream(channel: string, { epoch, offset }: Position): Recovered {
    let stream = this.#streams.get(channel);
    if (stream?.epoch !== epoch) {
      stream = { epoch, top: 0, entries: new Map() };
      this.#streams.set(channel, stream);
    }
    stream.top = Math.max(stream.top, offset);
    return stream;
  }
}
