/**
 * The engine of a hub on one machine: streams in memory, and a file beside them that survives this process. Stores
 * and delivers in one act, in the order of the calls. Its memory is bounded: over the bound it gives up the history of the channels that
 * were not used for the longest time, whole channels at a time, and keeps their positions for as long as it can.
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
  /** Returns the rule of a channel's namespace. */
  rule: (channel: string) => HistoryRule;
  /** Whether somebody listens to the channel: then its position is never forgotten. */
  isUsed: (channel: string) => boolean;
  maxBytes: number;
  /** null: in memory only */
  store: Store | null;
  events: EngineEvents;
  /** milliseconds that only grow, near Unix time */
  clock?: () => number;
}

/** share of the memory bound that idempotency keys may take */
const keyShare = 1 / 8;
/** the file is rewritten when it has so many bytes and three times what is kept */
const rewriteBytes = 16 * 1024 * 1024;
/** after a failed write the file is tried again this often */
const retryMs = 30_000;
/** a worker's last number is remembered for this long after its last append */
const workerTtlMs = 600_000;
/** streams that one sweep looks at */
const sweepStreams = 20_000;
/** over the memory bound, histories go until this share of it is left */
const evictShare = 0.95;
/** messages of one stream that are written in one step of a rewrite */
const sliceEntries = 256;

/** Milliseconds of the monotonic clock, moved to Unix time when the process started. */
const steadyUnixTime = () => Math.floor(performance.timeOrigin + performance.now());

export class EmbeddedEngine implements Engine {
  readonly counters = new EngineCounters();
  readonly #options: EmbeddedOptions;
  readonly #clock: () => number;
  readonly #streams = new Map<string, Stream>();
  readonly #order = new UsageOrder();
  readonly #keys: IdempotencyKeys;
  /** the last number of each worker, and when it came */
  readonly #workers = new Map<string, { number: number; at: number }>();
  #streamBytes = 0;
  #messages = 0;
  /** where the next sweep goes on */
  #sweeping: MapIterator<Stream> | null = null;
  readonly #store: Store | null;
  /** the store takes what is said to it */
  #writing: boolean;
  /** what was last told of it */
  #isDurable: boolean;
  #rewriting = false;
  /** when a failed store is tried again */
  #retryAt = 0;
  /** memory above which histories are given up */
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

  /** Takes over what the store has kept. @returns false: nothing was kept, all epochs are new */
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

  /** Bytes of the file; 0: there is none. */
  get fileBytes(): number {
    return this.#writing ? (this.#store?.bytes ?? 0) : 0;
  }

  /** What is stored survives this process. */
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
    this.#say((store) => {
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

  /** Forgets what has expired, and tries a failed file again. To be called every second. */
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
      this.#say((store) => {
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
    this.#say((store) => {
      store.append({ channel, position, time: now, payload, meta, key, worker, number });
    });
    return { position, duplicate: null };
  }

  /** The position of an append that came before; null: it is not known any longer. */
  #positionOf(stream: Stream, { channel, key, worker, number }: Append): Position | null {
    const entry = stream.find(worker, number);
    if (entry) return { epoch: stream.epoch, offset: entry.offset };
    return key === '' ? null : (this.#keys.get(channel, key) ?? null);
  }

  /** The channel's stream, made if there is none, as the one that was used last. */
  #use(channel: string, now: number): Stream {
    const found = this.#streams.get(channel);
    const stream = found ?? this.#add(new Stream(channel, randomBytes(6).toString('base64url'), now));
    if (!found) {
      this.#streamBytes += stream.bytes;
      this.counters.epochs.new += 1;
      this.#say((store) => {
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

  /** Keeps the sums right while a stream drops messages. */
  #drop(stream: Stream, drop: () => number): number {
    const before = stream.bytes;
    const dropped = drop();
    this.#streamBytes += stream.bytes - before;
    this.#messages -= dropped;
    return dropped;
  }

  /** Gives up whole histories, of the channels that were not used for the longest time, until the memory suffices. */
  #evict(): void {
    if (this.bytes <= this.#evictOver) return;
    const { maxBytes, isUsed } = this.#options;
    const enough = maxBytes * evictShare; // so that the scan is worth its while
    for (const stream of this.#order.oldestFirst()) {
      if (this.bytes <= enough) break;
      if (stream.length === 0) continue;
      this.counters.trimmed.evicted += this.#drop(stream, () => stream.clear());
      this.counters.evictedChannels += 1;
    }
    // Positions alone are too much: those of channels that nobody listens to go too.
    for (const stream of this.bytes > maxBytes ? this.#order.oldestFirst() : []) {
      if (this.bytes <= enough) break;
      if (stream.newer === null || isUsed(stream.name)) continue;
      this.#delete(stream);
      this.counters.epochs.lost += 1;
    }
    this.#evictOver = this.bytes <= maxBytes ? maxBytes : this.bytes / evictShare;
  }

  #say(say: (store: Store) => void): void {
    if (this.#store && this.#writing) say(this.#store);
  }

  /** Before anybody is told of what was stored. */
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

  /** Writes all that is kept into a new file, a step in each turn of the event loop. */
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

  /** The file lacks something from here on, so that nothing in it can be relied on. */
  #failed(error: unknown): void {
    this.counters.storeErrors += 1;
    this.#writing = this.#rewriting = false;
    this.#retryAt = this.#clock() + retryMs;
    this.#store?.discard();
    if (!this.#isDurable) return;
    this.#isDurable = false;
    this.#options.events.durable(false, messageOf(error));
  }

  /** Returns all that is kept now, to be written step by step while it changes. */
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
        // What was dropped meanwhile must not come back behind the word that it was.
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
