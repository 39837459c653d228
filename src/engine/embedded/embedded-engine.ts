/**
 * The engine of a hub on one machine: streams in memory, and log files that survive this process. It stores and
 * delivers in one step, in the order of the calls. Its memory is limited: above the limit it evicts the history of
 * the channels that were unused for the longest time, whole channels at a time, and keeps their positions as long as
 * possible.
 */
import { randomBytes } from 'node:crypto';
import { EngineCounters } from '../../metrics/broker-metrics.ts';
import { messageOf } from '../../platform/errors.ts';
import type {
  Append,
  Appended,
  Engine,
  EngineEvents,
  HistoryRule,
  Page,
  Position,
  Range,
} from '../engine.ts';
import { IdempotencyKeys } from './idempotency-keys.ts';
import { Recovery } from './recovery.ts';
import type { Snapshot, Store, StoreReader } from './store.ts';
import { Stream, sizeOfEntry, type Entry } from './stream.ts';
import { UsageOrder } from './usage-order.ts';

export interface EmbeddedOptions {
  /** Returns the history rule of the namespace of a channel. */
  rule: (channel: string) => HistoryRule;
  /** Returns whether the channel has subscribers; then its position is kept. */
  isUsed: (channel: string) => boolean;
  /** limit of the memory of streams and idempotency keys */
  maxBytes: number;
  /** null: in memory only */
  store: Store | null;
  events: EngineEvents;
  /** returns milliseconds that never decrease, near Unix time */
  clock?: () => number;
}

/** share of the memory limit for idempotency keys */
const keyShare = 1 / 8;
/** the files are rewritten above this size, if they also have three times the bytes in memory */
const rewriteBytes = 16 * 1024 * 1024;
/** interval of the attempts to write files again after a failure */
const retryMs = 30_000;
/** the last number of a worker is remembered for this time after its last append */
const workerTtlMs = 600_000;
/** most streams that one sweep checks */
const sweepStreams = 20_000;
/** eviction above the memory limit continues down to this share of it */
const evictShare = 0.95;
/** most messages of one stream in one step of a rewrite */
const sliceEntries = 256;

/** Milliseconds of the monotonic clock, plus the Unix time of the process start. */
const steadyUnixTime = () => Math.floor(performance.timeOrigin + performance.now());

export class EmbeddedEngine implements Engine {
  readonly counters = new EngineCounters();
  readonly #options: EmbeddedOptions;
  readonly #clock: () => number;
  readonly #streams = new Map<string, Stream>();
  readonly #order = new UsageOrder();
  readonly #keys: IdempotencyKeys;
  /** the last number of each worker, and the time of its last append */
  readonly #workers = new Map<string, { number: number; at: number }>();
  #streamBytes = 0;
  #messages = 0;
  /** streams that the current sweep has not checked; null: the next sweep starts at the first stream */
  #sweeping: MapIterator<Stream> | null = null;
  readonly #store: Store | null;
  /** changes are recorded in the store; false: there is none, or it has failed */
  #writing: boolean;
  /** the last value that was passed to `events.durable` */
  #isDurable: boolean;
  #rewriting = false;
  /** when a failed store is used again */
  #retryAt = 0;
  /** memory above which histories are evicted */
  #evictOver: number;
  #closed = false;

  constructor(options: EmbeddedOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyUnixTime;
    this.#store = options.store;
    this.#writing = this.#isDurable = options.store !== null;
    this.#evictOver = options.maxBytes;
    this.#keys = new IdempotencyKeys(options.maxBytes * keyShare);
  }

  /**
   * Loads the state of the store.
   * @returns false: nothing was kept, so all epochs are new
   */
  start(): boolean {
    const now = this.#clock();
    const recovery = new Recovery(now);
    try {
      if (this.#store?.open(recovery) !== true) return false;
    } catch (error) {
      this.#failed(error);
      return false;
    }
    for (const { channel, epoch, top, entries } of recovery.streams()) {
      const stream = this.#add(new Stream(channel, epoch, now));
      for (const entry of entries) stream.push(entry);
      stream.top = top;
      this.#messages += stream.length;
      this.#streamBytes += stream.bytes;
      this.#trim(stream, now);
    }
    for (const entry of recovery.keys()) this.#keys.add(entry);
    for (const [worker, number] of recovery.workers) this.#workers.set(worker, { number, at: now });
    this.#evict();
    return true;
  }

  get bytes(): number {
    return this.#streamBytes + this.#keys.bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  get channels(): number {
    return this.#streams.size;
  }

  /** Bytes of the log files; 0: there are none. */
  get fileBytes(): number {
    return this.#writing ? (this.#store?.bytes ?? 0) : 0;
  }

  /** Whether stored publications survive this process. */
  get durable(): boolean {
    return this.#isDurable;
  }

  publish(batch: readonly Append[]): Promise<readonly Appended[]> {
    const [now, startedAt] = [this.#clock(), performance.now()];
    const results = batch.map((append) => this.#append(append, now));
    this.#evict();
    this.#commit();
    this.counters.appendSeconds.observe((performance.now() - startedAt) / 1_000);
    this.counters.batchMessages.observe(batch.length);
    for (const [index, append] of batch.entries()) {
      const result = results[index];
      if (result?.duplicate === null && result.position !== null) {
        this.#options.events.publication(append, result.position, now);
      }
    }
    return Promise.resolve(results);
  }

  history(channel: string, range: Range): Promise<Page> {
    const now = this.#clock();
    const stream = this.#use(channel, now);
    this.#trim(stream, now);
    this.#evict();
    this.#commit();
    return Promise.resolve(stream.read(range));
  }

  remove(channel: string): Promise<Position> {
    const stream = this.#use(channel, this.#clock());
    this.counters.trimmed.removed += this.#drop(stream, () => stream.clear());
    this.#record((store) => {
      store.removed(channel, stream.position);
    });
    this.#commit();
    return Promise.resolve(stream.position);
  }

  close(): Promise<void> {
    this.#closed = true;
    if (this.#isDurable) this.#store?.close();
    else this.#store?.discard();
    this.#writing = false;
    return Promise.resolve();
  }

  /** Removes expired data, and tries a failed store again. Called every second. */
  sweep(): void {
    const now = this.#clock();
    this.#keys.expire(now);
    for (const [worker, { at }] of this.#workers) if (at + workerTtlMs <= now) this.#workers.delete(worker);
    for (let count = 0; count < sweepStreams; count++) {
      this.#sweeping ??= this.#streams.values();
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = null;
        break;
      }
      const stream = next.value;
      this.#trim(stream, now);
      const { historyMetaTtlMs } = this.#options.rule(stream.name);
      const isForgotten = stream.length === 0 && stream.usedAt + historyMetaTtlMs <= now;
      if (isForgotten && !this.#options.isUsed(stream.name)) this.#delete(stream);
    }
    if (this.#writing) this.#shrinkFile();
    else if (this.#store && !this.#closed && this.#retryAt <= now) this.#rewrite(this.#store);
  }

  #append(append: Append, now: number): Appended {
    const { channel, key, worker, number } = append;
    const stream = this.#use(channel, now);
    const seen = this.#workers.get(worker);
    if (seen && number <= seen.number) {
      this.counters.duplicates.retry += 1;
      return { position: this.#positionOf(stream, append), duplicate: 'retry' };
    }
    if (seen) {
      seen.number = number;
      seen.at = now;
    } else {
      this.#workers.set(worker, { number, at: now });
    }
    const known = key === '' ? undefined : this.#keys.get(channel, key);
    if (known) {
      this.counters.duplicates.key += 1;
      this.#record((store) => {
        store.worker(worker, number);
      });
      return { position: known, duplicate: 'key' };
    }
    const [payload, meta] = [append.payload.toString('latin1'), append.meta.toString('latin1')];
    const offset = stream.top + 1;
    const position = { epoch: stream.epoch, offset };
    const entry: Entry = {
      offset,
      time: now,
      payload,
      meta,
      bytes: sizeOfEntry(payload, meta),
      worker,
      number,
    };
    stream.push(entry);
    this.#streamBytes += entry.bytes;
    this.#messages += 1;
    this.counters.appended += 1;
    this.#trim(stream, now);
    if (key !== '') this.#keys.add({ channel, key, position, time: now });
    this.#record((store) => {
      store.append({ channel, position, time: now, payload, meta, key, worker, number });
    });
    return { position, duplicate: null };
  }

  /** Returns the position of an append that was stored before; null: it is no longer known. */
  #positionOf(stream: Stream, { channel, key, worker, number }: Append): Position | null {
    const entry = stream.find(worker, number);
    if (entry) return { epoch: stream.epoch, offset: entry.offset };
    return key === '' ? null : (this.#keys.get(channel, key) ?? null);
  }

  /** Returns the stream of a channel as the most recently used one. Creates it if there is none. */
  #use(channel: string, now: number): Stream {
    const found = this.#streams.get(channel);
    const stream = found ?? this.#add(new Stream(channel, randomBytes(6).toString('base64url'), now));
    if (!found) {
      this.#streamBytes += stream.bytes;
      this.counters.epochs.new += 1;
      this.#record((store) => {
        store.stream(channel, stream.position);
      });
    }
    stream.usedAt = now;
    this.#order.use(stream);
    return stream;
  }

  #add(stream: Stream): Stream {
    this.#streams.set(stream.name, stream);
    this.#order.use(stream);
    return stream;
  }

  #delete(stream: Stream): void {
    this.#streams.delete(stream.name);
    this.#order.remove(stream);
    this.#streamBytes -= stream.bytes;
    this.#messages -= stream.length;
  }

  #trim(stream: Stream, now: number): void {
    if (stream.length === 0) return;
    const rule = this.#options.rule(stream.name);
    this.counters.trimmed.size += this.#drop(stream, () => stream.trimSize(rule));
    this.counters.trimmed.ttl += this.#drop(stream, () => stream.trimUntil(now - rule.historyTtlMs));
  }

  /** Runs `drop` and updates the totals. */
  #drop(stream: Stream, drop: () => number): number {
    const before = stream.bytes;
    const dropped = drop();
    this.#streamBytes += stream.bytes - before;
    this.#messages -= dropped;
    return dropped;
  }

  /**
   * Evicts whole histories until the memory suffices. The channels that were unused for the longest time are first.
   */
  #evict(): void {
    if (this.bytes <= this.#evictOver) return;
    const { maxBytes, isUsed } = this.#options;
    const enough = maxBytes * evictShare; // evict more than necessary, because each scan costs time
    for (const stream of this.#order.oldestFirst()) {
      if (this.bytes <= enough) break;
      if (stream.length === 0) continue;
      this.counters.trimmed.evicted += this.#drop(stream, () => stream.clear());
      this.counters.evictedChannels += 1;
    }
    // Positions alone exceed the limit: remove those of channels without subscribers too.
    for (const stream of this.bytes > maxBytes ? this.#order.oldestFirst() : []) {
      if (this.bytes <= enough) break;
      if (stream.newer === null || isUsed(stream.name)) continue;
      this.#delete(stream);
      this.counters.epochs.lost += 1;
    }
    this.#evictOver = this.bytes <= maxBytes ? maxBytes : this.bytes / evictShare;
  }

  #record(record: (store: Store) => void): void {
    if (this.#store && this.#writing) record(this.#store);
  }

  /** Commits the recorded changes. Must precede delivery and acknowledgement. */
  #commit(): void {
    if (!this.#store || !this.#writing) return;
    try {
      this.#store.commit();
      this.#shrinkFile();
    } catch (error) {
      this.#failed(error);
    }
  }

  #shrinkFile(): void {
    const store = this.#store;
    if (!store || this.#rewriting || store.bytes < rewriteBytes || store.bytes < 3 * this.bytes) return;
    this.#rewrite(store);
  }

  /** Writes the complete state into a new file, one step per turn of the event loop. */
  #rewrite(store: Store): void {
    this.#writing = this.#rewriting = true;
    const step = () => {
      if (this.#closed || !this.#rewriting) return;
      try {
        if (store.step()) {
          setImmediate(step);
          return;
        }
      } catch (error) {
        this.#failed(error);
        return;
      }
      this.#rewriting = false;
      if (this.#isDurable) return;
      this.#isDurable = true;
      this.#options.events.durable(true);
    };
    try {
      store.rewrite(this.snapshot());
      setImmediate(step);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The store has failed: its files are incomplete from now on and must not be loaded. */
  #failed(error: unknown): void {
    this.counters.storeErrors += 1;
    this.#writing = this.#rewriting = false;
    this.#retryAt = this.#clock() + retryMs;
    this.#store?.discard();
    if (!this.#isDurable) return;
    this.#isDurable = false;
    this.#options.events.durable(false, messageOf(error));
  }

  /** Returns the complete state. It is written in steps while the state changes. */
  snapshot(): Snapshot {
    const keys = [...this.#keys.entries()];
    const workers = [...this.#workers];
    const streams = this.#streams.values();
    let rest: readonly Entry[] = [];
    let current: Stream | null = null;
    return {
      next: (writer: StoreReader) => {
        const key = keys.pop();
        const worker = workers.pop();
        if (key) writer.key(key);
        if (worker) writer.worker(worker[0], worker[1].number);
        if (key ?? worker) return true;
        if (current === null || rest.length === 0) {
          const next = streams.next();
          if (next.done === true) return false;
          current = next.value;
          writer.stream(current.name, current.position);
          rest = current.entries();
        }
        const { name: channel, epoch, firstOffset } = current;
        // Messages that were removed in the meantime must not follow the record of their removal.
        if (this.#streams.get(channel) !== current) rest = [];
        for (const { offset, time, payload, meta, worker: from, number } of rest.slice(0, sliceEntries)) {
          if (offset < firstOffset) continue;
          const position = { epoch, offset };
          writer.append({ channel, position, time, payload, meta, key: '', worker: from, number });
        }
        rest = rest.slice(sliceEntries);
        return true;
      },
    };
  }
}
