/**
 * The places of the workers: fills those that are empty, ever later while workers keep dying, and says when all
 * accept clients and when none can be started any more. It replaces nobody that lives; turnover.ts does.
 */
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';
import type { Listeners } from './listeners.ts';
import type { WorkerPool, WorkerCommon } from './worker-pool.ts';
import { exitHint, exitCause } from './exit-report.ts';
import { RestartPolicy } from './restart-policy.ts';
import type { WorkerProcess } from './worker-process.ts';

/** A place for one worker; its successor takes it over. */
interface Slot {
  readonly index: number;
  readonly policy: RestartPolicy;
  /** null: it has died, and `restart` brings the next */
  current: WorkerProcess | null;
  /** the last worker of which the policy knows that it listens */
  proven: WorkerProcess | null;
  restart: NodeJS.Timeout | undefined;
}

export class Slots {
  /** what a worker that starts now is given, and the port; a reload changes them */
  common: WorkerCommon;
  generation = 1;
  listeners: Listeners;
  readonly #slots: Slot[];
  readonly #members: WorkerPool;
  readonly #lifecycle: SupervisorStats;
  readonly #log: Log;
  /** all have been ready at least once, so that clients can be let in */
  #linked = false;
  /** all have listened at least once */
  #started = false;
  #onStarted: (() => void) | undefined;
  #onHopeless: ((error: OperatorError) => void) | undefined;

  constructor(
    common: WorkerCommon,
    listeners: Listeners,
    members: WorkerPool,
    lifecycle: SupervisorStats,
    log: Log,
  ) {
    this.common = common;
    this.listeners = listeners;
    this.#slots = Array.from({ length: common.settings.workers }, (_, index) => emptySlot(index));
    this.#members = members;
    this.#lifecycle = lifecycle;
    this.#log = log;
  }

  get size(): number {
    return this.#slots.length;
  }

  get started(): boolean {
    return this.#started;
  }

  /** Every one has a worker that serves and is linked. */
  get ready(): boolean {
    return this.#slots.every(({ current }) => current?.state === 'ready' && current.linked);
  }

  /** Forks a worker for each; resolves once every one of them accepts clients. */
  async fill(): Promise<void> {
    const started = new Promise<void>((resolve) => (this.#onStarted = resolve));
    for (const slot of this.#slots) this.#start(slot);
    await started;
  }

  /** Sees to it that somebody accepts from every listening socket. */
  async lend(): Promise<void> {
    if (!this.#linked) return;
    const able = this.#slots.flatMap(({ current }) => (current?.state === 'ready' ? [current] : []));
    await this.listeners.lend(able);
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

  /** Sees to it that the next clients go to those who have few. */
  even(): void {
    this.listeners.settled.clear();
    void this.lend();
  }

  /** As many clients as were to go elsewhere have come over this socket. */
  filled(index: number): void {
    this.listeners.settled.add(index);
    void this.lend();
  }

  /** Rejects when no worker can be started any more; never resolves. */
  get hopeless(): Promise<never> {
    return new Promise((_, reject) => (this.#onHopeless = reject));
  }

  /** Puts a worker that is ready into its slot. @returns whose place it took */
  put(worker: WorkerProcess): WorkerProcess[] {
    const slot = (this.#slots[worker.slot] ??= emptySlot(worker.slot));
    clearTimeout(slot.restart);
    const replaced = slot.current ? [slot.current] : [];
    slot.current = worker;
    return replaced;
  }

  /** Gives up the slots from `count` on. @returns who was in them */
  cut(count: number): WorkerProcess[] {
    return this.#slots.splice(count).flatMap(({ restart, current }) => {
      clearTimeout(restart);
      return current ? [current] : [];
    });
  }

  /** Nobody that dies gets a successor any more. */
  close(): void {
    for (const { restart } of this.#slots) clearTimeout(restart);
    this.listeners.close();
  }

  /** A worker has become ready. */
  workerReady(worker: WorkerProcess): void {
    const slot = this.#slots[worker.slot];
    if (slot?.current !== worker) return; // it takes over later, or never
    this.#linked ||= this.#slots.every(({ current }) => current?.state === 'ready');
    void this.lend();
  }

  /** The start failed in a way that a second try cannot mend; before all have listened this ends the hub. */
  startFailed(worker: WorkerProcess, message: string): void {
    if (this.#started) worker.kill(message);
    else this.#onHopeless?.(new OperatorError(message));
  }

  /** A worker is gone; if it was in its slot, the slot gets another. */
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
    void this.lend();
    if (!this.#givesUp(exitCause(worker, code, signal))) this.#startLater(slot, restartInMs);
  }

  /** Ends the hub if no worker can be started. @param last why the last one failed */
  #givesUp(last: string): boolean {
    if (!this.#slots.every(({ policy }) => policy.hopeless)) return false;
    this.#onHopeless?.(new OperatorError(`no worker can be started; the last one failed with: ${last}`));
    return true;
  }

  #start(slot: Slot): void {
    try {
      slot.current = this.#members.fork(slot.index, this.common, this.generation);
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
