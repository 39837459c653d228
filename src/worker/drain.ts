/**
 * Drains the connections of a worker: each client is told that the worker ends, and is closed in its turn with its
 * own random reconnect time. It promises that no client is left after the spread, the grace period and the close
 * timeout. It stops no new connections and ends no process: see graceful-shutdown.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainOrder } from '../ipc/messages.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ReconnectDelay } from '../protocol/protocol.ts';
import { inSlices } from '../platform/slices.ts';
import { DrainPacer, graceMs, sliceMs } from './drain-pacer.ts';

/** how long a due client may finish reading its output, or a handler its messages */
const unfinishedMs = 1_000;
/** how often new connections are searched: handshakes that were in progress when the drain began */
const rescanMs = 1_000;

/** The part of a client that a drain uses; client.ts implements it. */
export interface Drainable {
  readonly state: 'open' | 'closing' | 'closed';
  readonly bufferedBytes: number;
  /** it is not read from, for example because its messages wait for a handler */
  readonly paused: boolean;
  draining(reconnect: ReconnectDelay): void;
  close(reason: CloseReason, detail?: string): void;
  terminate(): void;
}

/** The result of a drain. */
export interface DrainReport {
  /** number of clients that were sent a close frame */
  closed: number;
  /** number of clients that were dropped, because they did not answer the close frame */
  forced: number;
  slices: number;
  largestSlice: number;
  tookMs: number;
}

export class Drain<C extends Drainable> {
  readonly #connections: Iterable<C> & { readonly size: number };
  readonly #random: () => number;
  #order: DrainOrder;
  #plan: DrainPacer;
  readonly #known = new Set<C>();
  /** clients that are not due yet, in random order */
  #queue: C[] = [];
  /** due clients that are not finished, with their deadlines */
  readonly #unfinished = new Map<C, number>();
  /** clients that were sent a close frame, with their deadlines */
  readonly #closing = new Map<C, number>();
  #scannedAt = -Infinity;
  /** deadline of the drain: the remaining clients are dropped */
  #endsAt: number;
  readonly report: DrainReport = { closed: 0, forced: 0, slices: 0, largestSlice: 0, tookMs: 0 };

  constructor(
    connections: Iterable<C> & { readonly size: number },
    order: DrainOrder,
    now: number,
    random: () => number = Math.random,
  ) {
    this.#connections = connections;
    this.#order = order;
    this.#random = random;
    this.#plan = new DrainPacer(0, order.spreadMs, now);
    this.#endsAt = endOf(order, now);
  }

  /** Number of remaining connections. */
  get remaining(): number {
    return this.#connections.size;
  }

  /**
   * Replaces the order, because the hub stops while the worker drains: the remaining clients are closed by the new
   * order.
   */
  follow(order: DrainOrder, now: number): void {
    this.#order = order;
    this.#plan = new DrainPacer(this.#queue.length + this.#unfinished.size, order.spreadMs, now);
    this.#endsAt = endOf(order, now);
  }

  /** Resolves when no connection is left. */
  async run(): Promise<DrainReport> {
    const startedAt = performance.now();
    for (;;) {
      await this.step(performance.now());
      if (this.remaining === 0) break;
      await sleep(sliceMs);
    }
    this.report.tookMs = Math.round(performance.now() - startedAt);
    return this.report;
  }

  /** Closes the clients that are due. Many clients take several turns of the event loop. */
  async step(now: number): Promise<void> {
    if (now - this.#scannedAt >= rescanMs) await this.#scan(now);
    await this.#dropSilent(now);
    let closed = 0;
    await inSlices(this.#due(now), (connection) => {
      this.#close(connection, now);
      this.#plan.closed(1); // `follow` may have made a new plan for the remaining clients
      closed += 1;
    });
    this.report.closed += closed;
    if (closed > 0) this.report.slices += 1;
    this.report.largestSlice = Math.max(this.report.largestSlice, closed);
  }

  /** Finds new clients, sends them `draining`, and inserts each at a random place of the queue. */
  async #scan(now: number): Promise<void> {
    this.#scannedAt = now;
    const { reconnect } = this.#order;
    await inSlices(this.#connections, (connection) => {
      if (this.#known.has(connection) || connection.state !== 'open') return;
      this.#known.add(connection);
      connection.draining(reconnect);
      const place = Math.floor(this.#random() * (this.#queue.length + 1));
      this.#queue.push(this.#queue[place] ?? connection);
      this.#queue[place] = connection;
      this.#plan.add(1);
    });
  }

  /** The clients that must be closed now, as far as they have finished. */
  *#due(now: number): Generator<C> {
    let left = this.#plan.due(now);
    for (const [connection, until] of this.#unfinished) {
      if (left === 0) return;
      if (!isFinished(connection) && now < until) continue;
      this.#unfinished.delete(connection);
      if (connection.state !== 'open') continue;
      left -= 1;
      yield connection;
    }
    while (left > 0) {
      const connection = this.#queue.pop();
      if (!connection) return;
      if (connection.state !== 'open') continue;
      if (!isFinished(connection)) {
        this.#unfinished.set(connection, now + unfinishedMs);
        continue;
      }
      left -= 1;
      yield connection;
    }
  }

  #close(connection: C, now: number): void {
    const { reason, reconnect, closeTimeoutMs } = this.#order;
    const retryMs = Math.round(reconnect.minMs + this.#random() * (reconnect.maxMs - reconnect.minMs));
    connection.close(reason, `retry=${retryMs}`);
    // One slice earlier than ws drops it, so that the client is counted here.
    this.#closing.set(connection, now + Math.max(0, closeTimeoutMs - sliceMs));
  }

  /** Drops the clients that have not answered the close frame in time. */
  async #dropSilent(now: number): Promise<void> {
    if (now >= this.#endsAt) {
      await inSlices(this.#connections, (connection) => {
        connection.terminate();
        this.report.forced += 1;
      });
      return;
    }
    await inSlices(this.#closing, ([connection, until]) => {
      if (connection.state === 'closed') {
        this.#closing.delete(connection);
      } else if (now >= until) {
        this.#closing.delete(connection);
        connection.terminate();
        this.report.forced += 1;
      }
    });
  }
}

function isFinished({ bufferedBytes, paused }: Drainable): boolean {
  return bufferedBytes === 0 && !paused;
}

function endOf({ spreadMs, closeTimeoutMs }: DrainOrder, now: number): number {
  return now + spreadMs + graceMs + closeTimeoutMs;
}
