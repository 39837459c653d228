/**
 * Supervises the workers: handles their messages, kills those that hang, and stops all of them. worker-slots.ts assigns workers to
 * slots, rollout.ts replaces running workers. The supervisor reads no client messages and runs no user code.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Execute } from '../admin/action.ts';
import { parseCall } from '../admin/actions.ts';
import type { DrainOrder, ToPrimary } from '../ipc/messages.ts';
import { HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { pingIntervalMs, verdictOn } from './health-check.ts';
import type { SupervisorStats } from './supervisor-stats.ts';
import type { Listeners } from './listeners.ts';
import { WorkerPool, type PoolOptions, type PoolOwner, type WorkerCommon } from './worker-pool.ts';
import { Slots } from './worker-slots.ts';
import { Rollout } from './rollout.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Interval at which clients are rebalanced between workers. */
const rebalanceIntervalMs = 200;

export interface SupervisorOptions extends PoolOptions {
  /** options that all workers share */
  worker: WorkerCommon;
  lifecycle: SupervisorStats;
  listeners: Listeners;
}

/** Keeps the counters of workers; implemented by metrics/collector.ts. */
export interface Bookkeeper {
  reported(worker: WorkerProcess, snapshot: Snapshot): void;
  exited(worker: WorkerProcess): void;
}

export class Supervisor implements PoolOwner {
  readonly lifecycle: SupervisorStats;
  readonly #log: Log;
  readonly #pool: WorkerPool;
  readonly #slots: Slots;
  readonly #rollout: Rollout;
  #stopping = false;
  readonly #timers: NodeJS.Timeout[] = [];
  #checkedAt = performance.now();
  /** executes admin requests that workers forward; set before `start` */
  perform: Execute | undefined;
  /** receives the last counters of workers; set before `start` */
  bookkeeper: Bookkeeper | undefined;

  constructor(options: SupervisorOptions) {
    const { worker, listeners, log, lifecycle } = options;
    this.#log = log;
    this.lifecycle = lifecycle;
    this.#pool = new WorkerPool(options, this);
    this.#slots = new Slots(worker, listeners, this.#pool, lifecycle, log);
    this.#rollout = new Rollout(this.#slots, this.#pool, lifecycle, log);
  }

  /** All processes that have not exited. */
  get workers(): readonly WorkerProcess[] {
    return this.#pool.all;
  }

  /** Number of workers that the settings ask for. */
  get expected(): number {
    return this.#slots.size;
  }

  /** Connections of all workers, as last reported. */
  get connections(): number {
    return this.workers.reduce((sum, { connections }) => sum + connections, 0);
  }

  /** Number of workers that are draining. */
  get draining(): number {
    return this.workers.filter(({ state }) => state === 'draining').length;
  }

  /** Every slot has a ready, linked worker, at least one worker responds, and none is draining. */
  get ready(): boolean {
    return !this.#stopping && this.alive && this.#slots.ready && this.draining === 0;
  }

  /** At least one worker serves and is responsive. */
  get alive(): boolean {
    return this.workers.some((worker) => worker.serving && worker.responsive);
  }

  /** Forks all workers; resolves once clients can connect. */
  start(): Promise<void> {
    this.#timers.push(
      setInterval(this.#checkWorkers, pingIntervalMs),
      setInterval(() => {
        this.#slots.rebalance();
      }, rebalanceIntervalMs),
    );
    return this.#slots.fill();
  }

  /** Rejects when no worker can be started; never resolves. */
  get hopeless(): Promise<never> {
    return this.#slots.hopeless;
  }

  /** The public port. */
  get port(): number {
    return this.#slots.listeners.port;
  }

  /**
   * Replaces all workers; see rollout.ts.
   * @param listeners for a new port; undefined keeps the current one
   */
  reload(common: WorkerCommon, listeners?: Listeners): Promise<{ drained: Promise<unknown> }> {
    return this.#rollout.reload(common, listeners);
  }

  /** Drains all workers, and kills those that exceed the budget of the order. */
  async stop(order: DrainOrder): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#rollout.stop();
    this.#slots.close();
    for (const worker of this.workers) {
      if (worker.state === 'starting') worker.kill('stopped while starting');
      else worker.drain(order);
    }
    while (this.#pool.size > 0) await sleep(5);
  }

  /** Kills all workers. */
  killAll(): void {
    this.#stopping = true;
    for (const worker of this.workers) worker.kill('the hub exits at once');
  }

  // PoolOwner

  message(worker: WorkerProcess, message: ToPrimary): void {
    switch (message.kind) {
      case 'ready':
        if (worker.state === 'starting') this.#workerReady(worker);
        break;
      case 'failed':
        worker.fault = message;
        if (message.operator) this.#slots.startFailed(worker, message.message);
        else worker.kill(message.message);
        break;
      case 'pong':
        worker.answeredPing(message, performance.now());
        break;
      case 'clients':
        worker.clients = message.count;
        if (message.soon) this.#slots.rebalance();
        break;
      case 'filled':
        this.#slots.quotaReached(message.index);
        break;
      case 'drained':
        this.lifecycle.drainForced += message.forced;
        break;
      case 'part':
        worker.answered(message.id, message.part);
        break;
      case 'refusal':
        worker.refused(message.id, new HubError(message.code, message.message));
        break;
      case 'counted':
        this.bookkeeper?.reported(worker, message.snapshot);
        break;
      case 'request':
        void this.#answerRequest(worker, message);
        break;
      case 'meshListening': // handled by the worker pool
        break;
    }
  }

  invalidMessage(): void {
    this.lifecycle.errors.invalid_message += 1;
  }

  exited(worker: WorkerProcess, code: number | null, signal: string | null): void {
    const wasDraining = worker.state === 'draining';
    worker.exited();
    this.bookkeeper?.exited(worker);
    if (wasDraining && worker.killedFor !== null) {
      this.lifecycle.drainForced += worker.connections;
      this.#log.warn({ workerId: worker.id, reason: worker.killedFor }, 'draining worker killed');
    }
    if (wasDraining || this.#stopping) return;
    if (!this.#rollout.workerDied(worker, code, signal)) this.#slots.workerDied(worker, code, signal);
  }

  #workerReady(worker: WorkerProcess): void {
    worker.state = 'ready';
    worker.answeredAt = performance.now();
    this.#rollout.workerReady();
    this.#slots.workerReady(worker);
  }

  async #answerRequest(
    worker: WorkerProcess,
    message: Extract<ToPrimary, { kind: 'request' }>,
  ): Promise<void> {
    const { id, action, input, trace } = message;
    try {
      const call = parseCall(action, input);
      if (!call) throw new HubError('bad_request');
      const answer = await this.perform?.(call, trace);
      worker.send({ kind: 'answer', id, answer });
    } catch (error) {
      const refusal = error instanceof HubError ? error : new HubError('internal');
      if (refusal !== error) this.#log.error({ err: error, action }, 'admin action failed');
      worker.send({ kind: 'refusal', id, code: refusal.code, message: refusal.message });
    }
  }

  readonly #checkWorkers = (): void => {
    const now = performance.now();
    // If this process itself was blocked, missing pongs prove nothing.
    const late = now - this.#checkedAt > 3 * pingIntervalMs;
    this.#checkedAt = now;
    for (const worker of this.workers) {
      if (late) worker.answeredAt = now;
      const verdict = verdictOn(worker, this.#slots.common.settings.workerMaxMemory, now);
      if (verdict === 'hang' || verdict === 'start took too long') {
        worker.kill(verdict);
      } else {
        worker.send({ kind: 'ping' });
        const calm = this.#slots.started && this.draining === 0;
        if (verdict === 'memory' && calm) void this.#rollout.replaceForMemory(worker);
      }
    }
  };
}
