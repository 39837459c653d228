/**
 * Replaces running workers: all of them on a reload, a single one that uses too much memory. The old workers serve until
 * the new ones are ready, then they drain.
 */
import { OperatorError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { reloadOrder } from './drain-orders.ts';
import type { SupervisorStats } from './supervisor-stats.ts';
import type { Listeners } from './listeners.ts';
import type { WorkerPool, WorkerCommon } from './worker-pool.ts';
import { exitCause } from './exit-report.ts';
import { Replacement } from './replacement.ts';
import type { Slots } from './worker-slots.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Delay after a failed replacement for memory. */
const memoryRetryMs = 60_000;

export class Rollout {
  readonly #slots: Slots;
  readonly #pool: WorkerPool;
  readonly #lifecycle: SupervisorStats;
  readonly #log: Log;
  /** the replacement in progress, at most one; null: none */
  #replacement: Replacement | null = null;
  #memoryRetryAt = 0;
  #stopping = false;

  constructor(slots: Slots, pool: WorkerPool, lifecycle: SupervisorStats, log: Log) {
    this.#slots = slots;
    this.#pool = pool;
    this.#lifecycle = lifecycle;
    this.#log = log;
  }

  /**
   * Replaces all workers by a new generation. Resolves when it serves, with a promise that the old workers have exited.
   * @param listeners for a new port, which replace the current ones
   * @throws {OperatorError} as a rejection: a new worker failed; the current workers keep serving
   */
  async reload(common: WorkerCommon, listeners?: Listeners): Promise<{ drained: Promise<unknown> }> {
    while (this.#replacement) await this.#replacement.outcome;
    const { workers } = common.settings;
    const indexes = Array.from({ length: workers }, (_, index) => index);
    const replaced = await this.#replace(indexes, common, this.#slots.generation + 1);
    replaced.push(...this.#slots.cut(workers));
    this.#slots.generation += 1;
    this.#slots.common = common;
    if (listeners) this.#slots.listeners.close();
    this.#slots.listeners = listeners ?? this.#slots.listeners;
    this.#slots.listeners.resize(workers);
    await this.#slots.assignSockets();
    this.#lifecycle.restarts.reload += replaced.length;
    return { drained: this.#drain(replaced) };
  }

  /** Replaces a worker that uses too much memory; its clients are drained. */
  async replaceForMemory(worker: WorkerProcess): Promise<void> {
    if (this.#replacement || performance.now() < this.#memoryRetryAt) return;
    const { id: workerId, slot, rssBytes } = worker;
    this.#log.warn({ workerId, slot, rssBytes, reason: 'memory' }, 'replacing worker');
    try {
      const replaced = await this.#replace([slot], this.#slots.common, this.#slots.generation);
      this.#lifecycle.restarts.memory += 1;
      await this.#slots.assignSockets();
      await this.#drain(replaced);
    } catch (error) {
      this.#memoryRetryAt = performance.now() + memoryRetryMs;
      this.#log.error({ workerId, err: error }, 'worker could not be replaced');
    }
  }

  /** Called when the hub stops: cancels the replacement in progress. */
  stop(): void {
    this.#stopping = true;
    this.#replacement?.fail('the hub is stopping');
  }

  /** Called when a worker has become ready. */
  workerReady(): void {
    this.#replacement?.check();
  }

  /** Called when a worker has exited. @returns whether it was a candidate; then its slot is not affected */
  workerDied(worker: WorkerProcess, code: number | null, signal: string | null): boolean {
    if (!this.#replacement?.candidates.includes(worker)) return false;
    this.#replacement.fail(exitCause(worker, code, signal));
    return true;
  }

  /** Starts successors for these slots; resolves with the workers that they replaced. */
  async #replace(
    slots: readonly number[],
    common: WorkerCommon,
    generation: number,
  ): Promise<WorkerProcess[]> {
    if (this.#stopping) throw new OperatorError('the hub is stopping');
    const candidates: WorkerProcess[] = [];
    try {
      for (const slot of slots) candidates.push(this.#pool.fork(slot, common, generation));
    } catch (error) {
      for (const candidate of candidates) candidate.kill('the replacement failed');
      throw error;
    }
    const replacement = new Replacement(candidates);
    this.#replacement = replacement;
    const fault = await replacement.outcome;
    this.#replacement = null;
    if (fault !== null) {
      for (const candidate of candidates) candidate.kill('the replacement failed');
      throw new OperatorError(fault);
    }
    return candidates.flatMap((candidate) => this.#slots.put(candidate));
  }

  async #drain(workers: readonly WorkerProcess[]): Promise<void> {
    if (this.#stopping) return; // the supervisor drains all workers
    const order = reloadOrder(this.#slots.common.settings);
    for (const worker of workers) {
      if (worker.state === 'starting') worker.kill('replaced');
      else worker.drain(order);
    }
    await Promise.all(workers.map(({ gone }) => gone));
  }
}
