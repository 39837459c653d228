/**
 * Keeps a worker running in every slot: restarts with backoff, kills one that hangs, replaces whole generations,
 * and ends them. It reads no client message and runs no code of the user's.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Perform } from '../control/actions.ts';
import type { DrainOrder, ToPrimary } from '../control/messages.ts';
import { HubError, OperatorError } from '../errors.ts';
import type { Log } from '../log.ts';
import { reloadOrder } from './drain-orders.ts';
import { pingIntervalMs, verdictOn } from './health-check.ts';
import type { Lifecycle } from './lifecycle.ts';
import { Members, type MembersOptions, type MembersOwner, type WorkerCommon } from './members.ts';
import { Replacement } from './replacement.ts';
import type { Snapshot } from '../observability/snapshot.ts';
import { RestartPolicy } from './restart-policy.ts';
import type { WorkerProcess } from './worker-process.ts';

/** after a replacement for its memory came to nothing, the next try waits this long */
const memoryRetryMs = 60_000;

/** A place for one worker; its successor takes it over. */
interface Slot {
  readonly index: number;
  readonly policy: RestartPolicy;
  current: WorkerProcess | null;
  restart: NodeJS.Timeout | undefined;
}

export interface SupervisorOptions extends MembersOptions {
  /** all but who the worker is */
  worker: WorkerCommon;
  lifecycle: Lifecycle;
}

/** Who keeps what workers have counted; observability/collector.ts fits. */
export interface Bookkeeper {
  reported(worker: WorkerProcess, snapshot: Snapshot): void;
  exited(worker: WorkerProcess): void;
}

export class Supervisor implements MembersOwner {
  readonly #log: Log;
  readonly #members: Members;
  readonly lifecycle: Lifecycle;
  /** what a worker that starts now is given; a reload changes it */
  #common: WorkerCommon;
  #slots: Slot[];
  /** of the workers that start now */
  #generation = 1;
  /** at most one at a time */
  #replacement: Replacement | null = null;
  #stopping = false;
  /** all slots have been ready at least once */
  #started = false;
  #port = 0;
  #pingTimer: NodeJS.Timeout | undefined;
  #checkedAt = performance.now();
  #memoryRetryAt = 0;
  #onStarted: ((port: number) => void) | undefined;
  #onHopeless: ((error: OperatorError) => void) | undefined;
  /** answers what comes to a worker's admin routes; set before `start` */
  perform: Perform | undefined;
  /** told of what workers leave behind; set before `start` */
  bookkeeper: Bookkeeper | undefined;

  constructor(options: SupervisorOptions) {
    this.#common = options.worker;
    this.#log = options.log;
    this.lifecycle = options.lifecycle;
    this.#members = new Members(options, this);
    this.#slots = Array.from({ length: options.worker.settings.workers }, (_, index) => emptySlot(index));
  }

  /** All processes that have not exited. */
  get workers(): readonly WorkerProcess[] {
    return this.#members.all;
  }

  /** Workers that should serve. */
  get expected(): number {
    return this.#slots.length;
  }

  /** Workers that were told to end and are still there. */
  get draining(): number {
    return this.workers.filter(({ state }) => state === 'draining').length;
  }

  /** Every slot has a worker that serves and is linked, and nothing drains. */
  get ready(): boolean {
    const serves = ({ current }: Slot) => current?.state === 'ready' && current.linked;
    return !this.#stopping && this.#slots.every(serves) && this.draining === 0;
  }

  /** At least one worker serves and has answered lately. */
  get alive(): boolean {
    const since = performance.now() - 3 * pingIntervalMs;
    return this.workers.some((worker) => worker.serving && worker.answeredAt >= since);
  }

  /** Forks all workers; resolves with the public port once all are ready. */
  async start(): Promise<number> {
    this.#pingTimer = setInterval(this.#checkWorkers, pingIntervalMs);
    const started = new Promise<number>((resolve) => (this.#onStarted = resolve));
    for (const slot of this.#slots) this.#fork(slot);
    return started;
  }

  /** Rejects when no worker can be started any more; never resolves. */
  get hopeless(): Promise<never> {
    return new Promise((_, reject) => (this.#onHopeless = reject));
  }

  /**
   * Puts a new generation in the place of the present one; resolves when it serves, with a promise of the end of
   * the workers that it replaced.
   * @throws {OperatorError} as a rejection: some new worker failed, and the present ones serve on
   */
  async reload(common: WorkerCommon): Promise<{ drained: Promise<unknown> }> {
    while (this.#replacement) await this.#replacement.outcome;
    const slots = Array.from({ length: common.settings.workers }, (_, index) => index);
    const replaced = await this.#replace(slots, common, this.#generation + 1);
    this.#generation += 1;
    for (const slot of this.#slots.splice(common.settings.workers)) {
      clearTimeout(slot.restart);
      if (slot.current) replaced.push(slot.current);
    }
    this.#common = common;
    this.lifecycle.restarts.reload += replaced.length;
    return { drained: this.#drain(replaced) };
  }

  /** Ends all workers: clients are told, those that are not gone in time are killed. */
  async stop(order: DrainOrder): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#pingTimer);
    this.#replacement?.fail('the hub stops');
    for (const slot of this.#slots) clearTimeout(slot.restart);
    for (const worker of this.workers) {
      if (worker.state === 'starting') worker.kill('stopped while starting');
      else worker.drain(order);
    }
    while (this.#members.size > 0) await sleep(5);
  }

  /** Ends all workers at once. */
  killAll(): void {
    this.#stopping = true;
    for (const worker of this.workers) worker.kill('the hub ends at once');
  }

  // MembersOwner

  message(worker: WorkerProcess, message: ToPrimary): void {
    switch (message.kind) {
      case 'ready':
        if (worker.state === 'starting') this.#workerReady(worker, message.port);
        break;
      case 'failed':
        worker.fault = message;
        if (message.operator && !this.#started) this.#onHopeless?.(new OperatorError(message.message));
        else worker.kill(message.message);
        break;
      case 'pong':
        worker.answeredPing(message, performance.now());
        break;
      case 'drained':
        this.lifecycle.drainClosed += message.closed;
        this.lifecycle.drainForced += message.forced;
        break;
      case 'part':
        worker.answered(message);
        break;
      case 'counted':
        this.bookkeeper?.reported(worker, message.snapshot);
        break;
      case 'request':
        void this.#answerRequest(worker, message);
        break;
      case 'meshListening': // concerns the members only
        break;
    }
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
    if (this.#replacement?.candidates.includes(worker)) {
      this.#replacement.fail(lastWords(worker, code, signal));
      return;
    }
    const slot = this.#slots[worker.slot];
    if (slot?.current !== worker) return;
    slot.current = null;
    this.#restart(slot, worker, code, signal);
  }

  #fork(slot: Slot): void {
    slot.current = this.#members.fork(slot.index, this.#common, this.#generation);
  }

  #workerReady(worker: WorkerProcess, port: number): void {
    worker.state = 'ready';
    worker.answeredAt = performance.now();
    this.#port = port;
    const { id: workerId, slot, pid: workerPid } = worker;
    this.#log.info({ workerId, slot, workerPid }, 'worker ready');
    if (this.#slots[slot]?.current === worker) this.#slots[slot].policy.ready(performance.now());
    this.#replacement?.check();
    if (this.#started || !this.#slots.every(({ current }) => current?.state === 'ready')) return;
    this.#started = true;
    this.#onStarted?.(this.#port);
  }

  /** Puts successors into these slots; resolves with those whose places they took. */
  async #replace(
    slots: readonly number[],
    common: WorkerCommon,
    generation: number,
  ): Promise<WorkerProcess[]> {
    const candidates = slots.map((slot) => this.#members.fork(slot, common, generation));
    const replacement = new Replacement(candidates);
    this.#replacement = replacement;
    const fault = await replacement.outcome;
    this.#replacement = null;
    if (fault !== null) {
      for (const candidate of candidates) candidate.kill('the replacement failed');
      throw new OperatorError(fault);
    }
    const replaced: WorkerProcess[] = [];
    for (const candidate of candidates) {
      const slot = (this.#slots[candidate.slot] ??= emptySlot(candidate.slot));
      clearTimeout(slot.restart);
      if (slot.current) replaced.push(slot.current);
      slot.current = candidate;
      slot.policy.ready(performance.now());
    }
    return replaced;
  }

  async #drain(workers: readonly WorkerProcess[]): Promise<void> {
    if (this.#stopping) return; // all have been told
    const order = reloadOrder(this.#common.settings);
    for (const worker of workers) {
      if (worker.state === 'starting') worker.kill('replaced');
      else worker.drain(order);
    }
    await Promise.all(workers.map(({ gone }) => gone));
  }

  /** One worker holds too much: its slot gets a successor, its clients have time to move. */
  async #replaceForMemory(worker: WorkerProcess): Promise<void> {
    const { id: workerId, slot, rssBytes } = worker;
    this.#log.warn({ workerId, slot, rssBytes, reason: 'memory' }, 'worker is replaced');
    try {
      const replaced = await this.#replace([slot], this.#common, this.#generation);
      this.lifecycle.restarts.memory += 1;
      await this.#drain(replaced);
    } catch (error) {
      this.#memoryRetryAt = performance.now() + memoryRetryMs;
      this.#log.error({ workerId, err: error }, 'worker could not be replaced');
    }
  }

  async #answerRequest(
    worker: WorkerProcess,
    message: Extract<ToPrimary, { kind: 'request' }>,
  ): Promise<void> {
    const { id, action, input, trace } = message;
    try {
      const answer = await this.perform?.(action, input as never, trace);
      worker.send({ kind: 'answer', id, answer });
    } catch (error) {
      const refusal = error instanceof HubError ? error : new HubError('internal');
      if (refusal !== error) this.#log.error({ err: error, action }, 'admin action failed');
      worker.send({ kind: 'refusal', id, code: refusal.code, message: refusal.message });
    }
  }

  #restart(slot: Slot, worker: WorkerProcess, code: number | null, signal: string | null): void {
    const reason = worker.killedFor ?? 'crash';
    this.lifecycle.restarts[reason === 'hang' ? 'hang' : 'crash'] += 1;
    const delayMs = slot.policy.died(performance.now());
    const { id: workerId, pid: workerPid, connections: lostConnections } = worker;
    const { failedStarts } = slot.policy;
    const facts = {
      workerId,
      slot: slot.index,
      workerPid,
      code,
      signal,
      reason,
      lostConnections,
      failedStarts,
    };
    this.#log.error({ ...facts, restartInMs: delayMs }, 'worker died');
    // The passed socket is closed with its last listener and cannot be listened on again (EEXIST).
    const socketLost = this.#common.listenFd !== null && !this.workers.some(({ serving }) => serving);
    if (socketLost || this.#slots.every(({ policy }) => policy.hopeless)) {
      const last = lastWords(worker, code, signal);
      this.#onHopeless?.(new OperatorError(`no worker can be started; the last one failed with: ${last}`));
      return;
    }
    slot.restart = setTimeout(() => {
      this.#fork(slot);
    }, delayMs);
  }

  readonly #checkWorkers = (): void => {
    const now = performance.now();
    // After a standstill of this process itself nobody's silence means anything.
    const late = now - this.#checkedAt > 3 * pingIntervalMs;
    this.#checkedAt = now;
    const maxMemory = now >= this.#memoryRetryAt ? this.#common.settings.workerMaxMemory : 0;
    for (const worker of this.workers) {
      if (late) worker.answeredAt = now;
      const verdict = verdictOn(worker, maxMemory, now);
      if (verdict === 'hang' || verdict === 'start took too long') {
        worker.kill(verdict);
      } else {
        worker.send({ kind: 'ping' });
        const calm = this.#started && this.#replacement === null && this.draining === 0;
        if (verdict === 'memory' && calm) void this.#replaceForMemory(worker);
      }
    }
  };
}

function emptySlot(index: number): Slot {
  return { index, policy: new RestartPolicy(), current: null, restart: undefined };
}

/** Why a worker ended, as far as it is known. */
function lastWords(worker: WorkerProcess, code: number | null, signal: string | null): string {
  return (
    worker.fault?.message ?? worker.killedFor ?? `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`
  );
}
