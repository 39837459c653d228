/**
 * The end of a worker's connections: every client is told that the worker leaves, and closed in its turn, with
 * its own random time to come back. It promises that within the spread, its grace and the close timeout nobody
 * is left. It lets nobody in or out by itself: see leave.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainOrder } from '../ipc/messages.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ReconnectDelay } from '../protocol/protocol.ts';
import { inSlices } from '../platform/slices.ts';
import { DrainPacer, graceMs, sliceMs } from './drain-pacer.ts';

/** how long a client is left alone when its turn has come and it has not read all, or a handler not all of its messages */
const unfinishedMs = 1_000;
/** newcomers are looked for this often: who was half way in when the drain began */
const rescanMs = 1_000;

/** What is drained: connection.ts fits. */
export interface Drainable {
  readonly state: 'open' | 'closing' | 'closed';
  readonly bufferedBytes: number;
  /** it has sent messages that wait for a handler */
  readonly paused: boolean;
  draining(reconnect: ReconnectDelay): void;
  close(reason: CloseReason, detail?: string): void;
  terminate(): void;
}

/** How it went; plain numbers. */
export interface DrainReport {
  /** closed with a close frame */
  closed: number;
  /** dropped, because they did not answer the close frame */
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
  /** whose turn comes, in random order */
  #queue: C[] = [];
  /** connections whose turn has come and that are not finished, with the time that they are given */
  readonly #patient = new Map<C, number>();
  /** closed and not gone, with the time that they are given */
  readonly #closing = new Map<C, number>();
  #scannedAt = -Infinity;
  /** connections that are left by then are dropped */
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

  /** Connections that are still there. */
  get remaining(): number {
    return this.#connections.size;
  }

  /** The hub ends while its worker drains: who is left is closed by the new order. */
  follow(order: DrainOrder, now: number): void {
    this.#order = order;
    this.#plan = new DrainPacer(this.#queue.length + this.#patient.size, order.spreadMs, now);
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

  /** One slice of the plan. Where that is many connections, it takes several turns of the event loop. */
  async step(now: number): Promise<void> {
    if (now - this.#scannedAt >= rescanMs) await this.#scan(now);
    await this.#dropSilent(now);
    let closed = 0;
    await inSlices(this.#due(now), (connection) => {
      this.#close(connection, now);
      this.#plan.closed(1); // another order may have begun meanwhile, with a plan for those that were left
      closed += 1;
    });
    this.report.closed += closed;
    if (closed > 0) this.report.slices += 1;
    this.report.largestSlice = Math.max(this.report.largestSlice, closed);
  }

  /** Finds those that are new, tells them, and gives each a random place in the queue. */
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

  /** Those that are to be closed now, as far as they can be. */
  *#due(now: number): Generator<C> {
    let left = this.#plan.due(now);
    for (const [connection, until] of this.#patient) {
      if (left === 0) return;
      if (!isFinished(connection) && now < until) continue;
      this.#patient.delete(connection);
      if (connection.state !== 'open') continue;
      left -= 1;
      yield connection;
    }
    while (left > 0) {
      const connection = this.#queue.pop();
      if (!connection) return;
      if (connection.state !== 'open') continue;
      if (!isFinished(connection)) {
        this.#patient.set(connection, now + unfinishedMs);
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
    // One slice earlier than the WebSocket library drops it, so that it is counted here.
    this.#closing.set(connection, now + Math.max(0, closeTimeoutMs - sliceMs));
  }

  /** Drops those that have not answered the close frame in time. */
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
