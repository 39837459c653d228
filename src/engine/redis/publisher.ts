/**
 * The appends on their way to Redis, in order: one batch at a time, so that a batch that may be lost with its connection
 * is sent again before all others. Redis knows the last number of each worker, so an append that was stored is not
 * stored again.
 */
import type { Append, Appended } from '../engine.ts';
import { maxBatch } from './tuning.ts';

/** The appends of one call of `publish`. */
interface Request {
  readonly results: Appended[];
  /** number of its appends without a result */
  open: number;
  readonly resolve: (results: readonly Appended[]) => void;
}

interface Item {
  readonly append: Append;
  readonly request: Request;
}

/** Stores a batch. Rejects if that is uncertain or failed: the batch is sent again after `resume`. */
export type Send = (batch: readonly Append[]) => Promise<readonly Appended[]>;

export class Publisher {
  readonly #send: Send;
  #queue: Item[] = [];
  /** the batch that was sent; it stays here until it is stored */
  #batch: Item[] = [];
  /** why appends wait; null: there is a connection */
  #paused: Error | null = new Error('no connection to Redis');
  #isSending = false;
  /** number of appends that were accepted, and of those that are stored */
  #accepted = 0;
  #stored = 0;
  #waiting: {
    readonly until: number;
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
  }[] = [];

  constructor(send: Send) {
    this.#send = send;
  }

  /** Number of appends that are not stored. */
  get length(): number {
    return this.#accepted - this.#stored;
  }

  publish(batch: readonly Append[]): Promise<readonly Appended[]> {
    if (batch.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      const request: Request = { results: [], open: batch.length, resolve };
      for (const append of batch) this.#queue.push({ append, request });
      this.#accepted += batch.length;
      void this.#pump();
    });
  }

  /** Resolves when all appends that were accepted so far are stored. Rejects when or while there is no connection. */
  settled(): Promise<void> {
    if (this.length === 0) return Promise.resolve();
    if (this.#paused) return Promise.reject(this.#paused);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ until: this.#accepted, resolve, reject });
    });
  }

  /** The connection is lost: appends wait. */
  pause(reason: Error): void {
    this.#paused = reason;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  /** There is a connection. A batch that was sent and is not known to be stored is sent again. */
  resume(): void {
    this.#paused = null;
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    while (!this.#paused && this.length > 0) {
      if (this.#batch.length === 0) this.#batch = this.#take();
      const batch = this.#batch;
      const results = await this.#send(batch.map(({ append }) => append)).catch(() => null);
      if (results === null) break; // the connection is closed; resume follows
      this.#batch = [];
      this.#stored += batch.length;
      for (const [index, { request }] of batch.entries()) {
        const result = results[index];
        if (result) request.results.push(result);
        request.open -= 1;
        if (request.open === 0) request.resolve(request.results);
      }
      while (this.#waiting[0] && this.#waiting[0].until <= this.#stored) this.#waiting.shift()?.resolve();
    }
    this.#isSending = false;
  }

  #take(): Item[] {
    let [count, bytes] = [0, 0];
    for (const { append } of this.#queue) {
      bytes += append.payload.length + append.meta.length;
      if (count === maxBatch.appends || (bytes > maxBatch.bytes && count > 0)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }
}
