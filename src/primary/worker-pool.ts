/**
 * All worker processes of all generations: forks them, tells them their siblings, and passes their messages and exits to the
 * owner of the pool.
 */
import cluster, { type Worker } from 'node:cluster';
import { accessSync, constants, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { isCall } from '../admin/actions.ts';
import type { ToPrimary, WorkerOptions } from '../ipc/messages.ts';
import { complaints, parseToPrimary } from '../ipc/parse.ts';
import { messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { OrphanReaper } from './orphan-reaper.ts';
import { WorkerProcess } from './worker-process.ts';

/**
 * V8 flags of workers, chosen by the bench. V8's young generation may grow to 16 MiB for each of its halves, and with many
 * idle connections that is half of a worker's memory: 9.3 KB per connection with it, 5.0 KB with 4 MiB, at the same CPU
 * per delivery. The collector's own threads, one set for each worker, would run on CPUs that the siblings need: 3 to 6 %
 * of the samples in pairs and rooms were theirs, and without them a message costs 1 to 9 % less.
 */
const heapFlags = ['--max-semi-space-size=4', '--single-threaded-gc'];

/**
 * Returns the working directory for a worker: the hub's own, or, once a deployment has removed that, another one that
 * exists. No process can be started in a missing directory (uv_cwd).
 */
export function workingDirectory(exec: string): string {
  const isThere = (folder: string) => {
    try {
      accessSync(folder, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return [process.cwd(), dirname(exec)].find(isThere) ?? '/';
}

/** Options that all workers of a generation share. */
export type WorkerCommon = Omit<WorkerOptions, 'identity' | 'slot'>;

export interface PoolOptions {
  /** the file that a worker process runs */
  exec: string;
  hubId: string;
  /** returns the path of a worker's link socket */
  socketPath: (workerId: string) => string;
  log: Log;
}

export interface PoolOwner {
  message(worker: WorkerProcess, message: ToPrimary): void;
  /** Called when a worker sends an unknown or malformed message. */
  invalidMessage(): void;
  /** Called when the process has exited; the last call for a worker. */
  exited(worker: WorkerProcess, code: number | null, signal: string | null): void;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #owner: PoolOwner;
  readonly #reaper = new OrphanReaper();
  /** by node:cluster's id of the child */
  readonly #workers = new Map<number, WorkerProcess>();
  #lastWorker = 0;

  constructor(options: PoolOptions, owner: PoolOwner) {
    this.#options = options;
    this.#owner = owner;
    // Naming the worker's file keeps a process manager's wrapper out of the workers.
    cluster.setupPrimary({ exec: options.exec, args: [], execArgv: [...process.execArgv, ...heapFlags] });
    cluster.on('exit', this.#onExit);
  }

  /** In the order of their forks. */
  get all(): readonly WorkerProcess[] {
    return [...this.#workers.values()];
  }

  get size(): number {
    return this.#workers.size;
  }

  fork(slot: number, common: WorkerCommon, generation: number): WorkerProcess {
    const { hubId, socketPath, log } = this.#options;
    const id = `w${++this.#lastWorker}`;
    const path = socketPath(id);
    cluster.setupPrimary({ cwd: workingDirectory(this.#options.exec) });
    const child = cluster.fork();
    const worker = new WorkerProcess(child, id, slot, path, performance.now());
    worker.generation = generation;
    worker.usesBroker = common.brokerPath !== null;
    this.#workers.set(child.id, worker);
    this.#watch();
    const complain = complaints(log, { workerId: id });
    child.on('message', (received: unknown) => {
      const message = parseToPrimary(received, isCall);
      if (message) {
        this.#onMessage(worker, message);
      } else {
        this.#owner.invalidMessage();
        complain();
      }
    });
    child.on('error', (error) => {
      log.error({ workerId: id, reason: error.message }, 'worker could not be started or messaged');
      // If no process was created (no descriptors, no memory), no exit event follows.
      if (child.process.pid === undefined) this.#onExit(child, null, null);
    });
    const identity = { hubId, workerId: id, path };
    worker.send({ kind: 'start', options: { ...common, slot, identity } });
    log.debug({ workerId: id, slot, workerPid: worker.pid }, 'worker forked');
    return worker;
  }

  #onMessage(worker: WorkerProcess, message: ToPrimary): void {
    if (message.kind === 'meshListening' || message.kind === 'drained') {
      worker.meshListening = message.kind === 'meshListening';
      this.#tellPeers();
    }
    this.#owner.message(worker, message);
  }

  readonly #onExit = (child: Worker, code: number | null, signal: string | null): void => {
    const worker = this.#workers.get(child.id);
    if (!worker) return;
    this.#workers.delete(child.id);
    this.#watch();
    this.#removeSocket(worker);
    this.#tellPeers();
    this.#owner.exited(worker, code, signal);
  };

  #watch(): void {
    this.#reaper.watch(this.all.flatMap(({ pid }) => (pid === 0 ? [] : [pid])));
  }

  /** Removes the link socket of an exited worker; fails if the directory has become read-only. */
  #removeSocket({ id, path }: WorkerProcess): void {
    try {
      rmSync(path, { force: true });
    } catch (error) {
      this.#options.log.warn({ workerId: id, reason: messageOf(error) }, 'link socket not removed');
    }
  }

  /** Sends every listening worker the list of all listening workers. */
  #tellPeers(): void {
    const listening = this.all.filter(({ meshListening }) => meshListening);
    const peers = listening.map(({ id, path }) => ({ workerId: id, path }));
    for (const worker of listening) worker.send({ kind: 'peers', peers });
  }
}
