/**
 * Keeps a worker running in every slot: forks, restarts with backoff, kills one that hangs, tells all of them
 * who their siblings are, and ends them. It reads no client message and runs no code of the user's.
 */
import cluster, { type Worker } from 'node:cluster';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Perform } from '../control/actions.ts';
import type { ToPrimary, WorkerOptions } from '../control/messages.ts';
import { HubError, OperatorError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Handover } from './handover.ts';
import { RestartPolicy } from './restart-policy.ts';
import { WorkerProcess } from './worker-process.ts';

/**
 * V8's young generation may grow to 16 MiB for each of its halves, and with many idle connections that is half of
 * a worker's memory: 9.3 KB per connection with it, 5.0 KB with 4 MiB, at the same CPU per delivery (npm run bench
 * -- --only idle,hot).
 */
const heapFlags = ['--max-semi-space-size=4'];

/** a worker is asked this often whether it is alive */
const pingIntervalMs = 1_000;
/** without an answer for this long it is killed and replaced */
const hangMs = 10_000;
/** a worker that is not ready by then is killed and replaced */
const startTimeoutMs = 60_000;

/** A place for one worker; its successor takes it over. */
interface Slot {
  readonly index: number;
  readonly policy: RestartPolicy;
  current: WorkerProcess | null;
  restart: NodeJS.Timeout | undefined;
}

export interface SupervisorOptions {
  /** the file that a worker process runs */
  exec: string;
  /** all but who the worker is */
  worker: Omit<WorkerOptions, 'identity'>;
  hubId: string;
  slots: number;
  /** the path of a worker's link socket */
  socketPath: (workerId: string) => string;
  log: Log;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Log;
  readonly #slots: Slot[];
  readonly #workers = new Map<number, WorkerProcess>();
  #lastWorker = 0;
  #stopping = false;
  /** all slots have been ready at least once */
  #started = false;
  #port = 0;
  #pingTimer: NodeJS.Timeout | undefined;
  #checkedAt = performance.now();
  #onStarted: ((port: number) => void) | undefined;
  #onHopeless: ((error: OperatorError) => void) | undefined;
  /** answers what comes to a worker's admin routes; set before `start` */
  perform: Perform | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#slots = Array.from({ length: options.slots }, (_, index) => ({
      index,
      policy: new RestartPolicy(),
      current: null,
      restart: undefined,
    }));
  }

  /** All processes that have not exited. */
  get workers(): readonly WorkerProcess[] {
    return [...this.#workers.values()];
  }

  /** Every slot has a worker that serves, and nothing is about to end. */
  get ready(): boolean {
    return !this.#stopping && this.#slots.every(({ current }) => current?.state === 'ready');
  }

  /** At least one worker serves and has answered lately. */
  get alive(): boolean {
    const since = performance.now() - 3 * pingIntervalMs;
    return this.workers.some((worker) => worker.state === 'ready' && worker.answeredAt >= since);
  }

  /** Forks all workers; resolves with the public port once all are ready. */
  async start(): Promise<number> {
    // Naming the worker's file keeps a process manager's wrapper out of the workers.
    cluster.setupPrimary({
      exec: this.#options.exec,
      args: [],
      execArgv: [...process.execArgv, ...heapFlags],
    });
    cluster.on('exit', this.#workerOnExit);
    this.#pingTimer = setInterval(this.#checkWorkers, pingIntervalMs);
    const started = new Promise<number>((resolve) => (this.#onStarted = resolve));
    for (const slot of this.#slots) this.#fork(slot);
    return started;
  }

  /** Rejects when no worker can be started any more; never resolves. */
  get hopeless(): Promise<never> {
    return new Promise((_, reject) => (this.#onHopeless = reject));
  }

  /** Ends all workers; those that are not gone in time are killed. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#pingTimer);
    for (const slot of this.#slots) clearTimeout(slot.restart);
    for (const worker of this.workers) {
      if (worker.state === 'starting') worker.kill('stopped while starting');
      else worker.send({ kind: 'stop' });
      worker.state = 'stopping';
    }
    const deadline = performance.now() + timeoutMs;
    while (this.#workers.size > 0 && performance.now() < deadline) await sleep(20);
    this.killAll();
    while (this.#workers.size > 0) await sleep(5);
  }

  /** Ends all workers at once. */
  killAll(): void {
    this.#stopping = true;
    for (const worker of this.workers) worker.kill('not gone in time');
  }

  #fork(slot: Slot): void {
    const id = `w${++this.#lastWorker}`;
    const path = this.#options.socketPath(id);
    const child = cluster.fork();
    const worker = new WorkerProcess(child, id, slot.index, path, performance.now());
    slot.current = worker;
    this.#workers.set(child.id, worker);
    child.on('message', (message: ToPrimary) => {
      this.#workerOnMessage(slot, worker, message);
    });
    const handover = new Handover(child.process);
    const giveBack = () => {
      if (child.isConnected()) return; // the other of the two events comes behind what it has still said
      handover.giveBack(this.workers.some((other) => other !== worker && other.serving));
    };
    child.on('disconnect', giveBack);
    child.on('exit', giveBack);
    child.on('error', (error) => {
      this.#log.error({ workerId: id, reason: error.message }, 'worker could not be started or told');
    });
    const { worker: common, hubId } = this.#options;
    worker.send({ kind: 'start', options: { ...common, identity: { hubId, workerId: id, path } } });
    this.#log.debug({ workerId: id, slot: slot.index, workerPid: worker.pid }, 'worker forked');
  }

  #workerOnMessage(slot: Slot, worker: WorkerProcess, message: ToPrimary): void {
    switch (message.kind) {
      case 'meshListening':
        worker.meshListening = true;
        this.#tellPeers();
        break;
      case 'ready':
        if (worker.state !== 'starting') break;
        worker.state = 'ready';
        worker.answeredAt = performance.now();
        slot.policy.ready(performance.now());
        this.#port = message.port;
        this.#log.info({ workerId: worker.id, slot: slot.index, workerPid: worker.pid }, 'worker ready');
        this.#checkStarted();
        break;
      case 'failed':
        worker.fault = message;
        if (message.operator && !this.#started) this.#onHopeless?.(new OperatorError(message.message));
        else worker.kill(message.message);
        break;
      case 'pong':
        worker.answeredAt = performance.now();
        worker.connections = message.connections;
        break;
      case 'part':
        worker.answered(message);
        break;
      case 'request':
        void this.#answerRequest(worker, message);
        break;
    }
  }

  async #answerRequest(
    worker: WorkerProcess,
    message: Extract<ToPrimary, { kind: 'request' }>,
  ): Promise<void> {
    const { id, action, input } = message;
    try {
      const answer = await this.perform?.(action, input as never);
      worker.send({ kind: 'answer', id, answer });
    } catch (error) {
      const refusal = error instanceof HubError ? error : new HubError('internal');
      if (refusal !== error) this.#log.error({ err: error, action }, 'admin action failed');
      worker.send({ kind: 'refusal', id, code: refusal.code, message: refusal.message });
    }
  }

  readonly #workerOnExit = (child: Worker, code: number | null, signal: string | null): void => {
    const worker = this.#workers.get(child.id);
    if (!worker) return;
    this.#workers.delete(child.id);
    const wasStopping = worker.state === 'stopping';
    worker.exited();
    rmSync(worker.path, { force: true });
    this.#tellPeers();
    if (wasStopping || this.#stopping) return;
    const slot = this.#slots[worker.slot];
    if (slot?.current !== worker) return;
    slot.current = null;
    this.#restart(slot, worker, code, signal);
  };

  #restart(slot: Slot, worker: WorkerProcess, code: number | null, signal: string | null): void {
    const delayMs = slot.policy.died(performance.now());
    this.#log.error(
      {
        workerId: worker.id,
        slot: slot.index,
        workerPid: worker.pid,
        code,
        signal,
        reason: worker.killedFor ?? 'crash',
        lostConnections: worker.connections,
        failedStarts: slot.policy.failedStarts,
        restartInMs: delayMs,
      },
      'worker died',
    );
    if (this.#slots.every(({ policy }) => policy.hopeless)) {
      const last = worker.fault?.message ?? `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`;
      this.#onHopeless?.(new OperatorError(`no worker can be started; the last one failed with: ${last}`));
      return;
    }
    slot.restart = setTimeout(() => {
      this.#fork(slot);
    }, delayMs);
  }

  /** Names to every worker all those that can be dialled. */
  #tellPeers(): void {
    const listening = this.workers.filter(({ meshListening }) => meshListening);
    const peers = listening.map(({ id, path }) => ({ workerId: id, path }));
    for (const worker of listening) worker.send({ kind: 'peers', peers });
  }

  #checkStarted(): void {
    if (this.#started || !this.ready) return;
    this.#started = true;
    this.#onStarted?.(this.#port);
  }

  readonly #checkWorkers = (): void => {
    const now = performance.now();
    // After a standstill of this process itself nobody's silence means anything.
    const late = now - this.#checkedAt > 3 * pingIntervalMs;
    this.#checkedAt = now;
    for (const worker of this.workers) {
      if (late) worker.answeredAt = now;
      const starting = worker.state === 'starting'; // it answers once its modules are loaded
      if (!starting && now - worker.answeredAt > hangMs) {
        worker.kill('hang');
      } else if (starting && now - worker.startedAt > startTimeoutMs) {
        worker.kill('start took too long');
      } else {
        worker.send({ kind: 'ping' });
      }
    }
  };
}
