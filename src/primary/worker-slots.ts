/**
 * The worker slots: restarts dead workers with growing delays, and reports when all accept clients and when none can be
 * started. Running workers are replaced by rollout.ts.
 */
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';
import type { Listeners } from './listeners.ts';
import type { WorkerPool, WorkerCommon } from './worker-pool.ts';
import { exitHint, exitCause } from './exit-report.ts';
import { RestartPolicy } from './restart-policy.ts';
import type { WorkerProcess } from './worker-process.ts';

/** A place for one worker and its successors. */
interface Slot {
  readonly index: number;
  readonly policy: RestartPolicy;
  /** null: it has died, and `restart` will fork the next */
  current: WorkerProcess | null;
  /** the last worker that was reported to the policy as listening */
  proven: WorkerProcess | null;
  restart: NodeJS.Timeout | undefined;
}

export class Slots {
  /** options of workers started from now on; changed by a reload, like the listeners */
  common: WorkerCommon;
  generation = 1;
  listeners: Listeners;
  readonly #slots: Slot[];
  readonly #pool: WorkerPool;
  readonly #lifecycle: SupervisorStats;
  readonly #log: Log;
  /** all slots have had a ready worker: clients may be accepted */
  #linked = false;
  /** all slots have had a listening worker */
  #started = false;
  #onStarted: (() => void) | undefined;
  #onHopeless: ((error: OperatorError) => void) | undefined;

  constructor(
    common: WorkerCommon,
    listeners: Listeners,
    pool: WorkerPool,
    lifecycle: SupervisorStats,
    log: Log,
  ) {
    this.common = common;
    this.listeners = listeners;
    this.#slots = Array.from({ length: common.settings.workers }, (_, index) => emptySlot(index));
    this.#pool = pool;
    this.#lifecycle = lifecycle;
    this.#log = log;
  }

  get size(): number {
    return this.#slots.length;
  }

  get started(): boolean {
    return this.#started;
  }

  /** Clients can connect, and every slot has a ready worker that is linked to all others. */
  get ready(): boolean {
    return this.#started && this.#slots.every(({ current }) => current?.state === 'ready' && current.linked);
  }

  /** Forks a worker for each slot; resolves once all accept clients. */
  async fill(): Promise<void> {
    const started = new Promise<void>((resolve) => (this.#onStarted = resolve));
    for (const slot of this.#slots) this.#start(slot);
    await started;
  }

  /** Assigns every listening socket to a worker that accepts from it. */
  async assignSockets(): Promise<void> {
    if (!this.#linked) return;
    const able = this.#slots.flatMap(({ current }) => (current?.state === 'ready' ? [current] : []));
    await this.listeners.assign(able);
    for (const slot of this.#slots) {
      if (slot.current === slot.proven || !slot.current?.listening) continue;
      slot.proven = slot.current;
      slot.policy.ready(performance.now());
      const { id: workerId, pid: workerPid } = slot.current;
      this.#log.info({ workerId, slot: slot.index, workerPid }, 'worker ready');
    }
    if (this.#started || !this.#slots.every(({ current }) => current?.listening)) return;
    this.#started = true;
    this.#onStarted?.();
  }

  /** Rebalances: new clients go to the workers with the fewest. */
  rebalance(): void {
    this.listeners.reachedQuotas.clear();
    void this.assignSockets();
  }

  /** The worker has accepted its quota of clients from this socket. */
  quotaReached(index: number): void {
    this.listeners.reachedQuotas.add(index);
    void this.assignSockets();
  }

  /** Rejects when no worker can be started; never resolves. */
  get hopeless(): Promise<never> {
    return new Promise((_, reject) => (this.#onHopeless = reject));
  }

  /** Puts a ready worker into its slot. @returns the worker that it replaced, if any */
  put(worker: WorkerProcess): WorkerProcess[] {
    const slot = (this.#slots[worker.slot] ??= emptySlot(worker.slot));
    clearTimeout(slot.restart);
    const replaced = slot.current ? [slot.current] : [];
    slot.current = worker;
    return replaced;
  }

  /** Removes the slots from `count` on. @returns the workers that were in them */
  cut(count: number): WorkerProcess[] {
    return this.#slots.splice(count).flatMap(({ restart, current }) => {
      clearTimeout(restart);
      return current ? [current] : [];
    });
  }

  /** Stops restarting workers, and closes the port. */
  close(): void {
    for (const { restart } of this.#slots) clearTimeout(restart);
    this.listeners.close();
  }

  /** Called when a worker has become ready. */
  workerReady(worker: WorkerProcess): void {
    const slot = this.#slots[worker.slot];
    if (slot?.current !== worker) return; // a candidate of a rollout
    this.#linked ||= this.#slots.every(({ current }) => current?.state === 'ready');
    void this.assignSockets();
  }

  /** Called when a start failed that a retry cannot fix. Until all slots have listened, this ends the hub. */
  startFailed(worker: WorkerProcess, message: string): void {
    if (this.#started) worker.kill(message);
    else this.#onHopeless?.(new OperatorError(message));
  }

  /** Called when a worker has exited. Its slot gets a new one, unless a successor has taken it. */
  workerDied(worker: WorkerProcess, code: number | null, signal: string | null): void {
    const slot = this.#slots[worker.slot];
    if (slot?.current !== worker) return;
    slot.current = null;
    const reason = worker.killedFor ?? 'crash';
    this.#lifecycle.restarts[reason === 'hang' ? 'hang' : 'crash'] += 1;
    const restartInMs = slot.policy.died(performance.now());
    const { id: workerId, pid: workerPid, connections: lostConnections } = worker;
    const { failedStarts } = slot.policy;
    const died = {
      workerId,
      slot: slot.index,
      workerPid,
      code,
      signal,
      reason,
      lostConnections,
      failedStarts,
    };
    this.#log.error({ ...died, restartInMs, advice: exitHint(worker, signal) }, 'worker died');
    void this.assignSockets();
    if (!this.#givesUp(exitCause(worker, code, signal))) this.#startLater(slot, restartInMs);
  }

  /** Ends the hub if no worker can be started. @param last error of the last start */
  #givesUp(last: string): boolean {
    if (!this.#slots.every(({ policy }) => policy.hopeless)) return false;
    this.#onHopeless?.(new OperatorError(`no worker can be started; the last one failed with: ${last}`));
    return true;
  }

  #start(slot: Slot): void {
    try {
      slot.current = this.#pool.fork(slot.index, this.common, this.generation);
    } catch (error) {
      const restartInMs = slot.policy.died(performance.now());
      this.#log.error(
        { slot: slot.index, reason: messageOf(error), restartInMs },
        'worker could not be forked',
      );
      if (this.#givesUp(messageOf(error))) return;
      this.#startLater(slot, restartInMs);
    }
  }

  #startLater(slot: Slot, ms: number): void {
    slot.restart = setTimeout(() => {
      this.#start(slot);
    }, ms);
  }
}

function emptySlot(index: number): Slot {
  return { index, policy: new RestartPolicy(), current: null, proven: null, restart: undefined };
}
