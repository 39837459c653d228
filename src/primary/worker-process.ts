/** One forked worker as the primary sees it: its messages, its state, and what was asked of it. */
import type { Worker } from 'node:cluster';
import type { ActionInput, ActionName, ActionPart } from '../control/actions.ts';
import type { ToPrimary, ToWorker } from '../control/messages.ts';
import { Requests } from '../control/requests.ts';
import type { Snapshot } from '../observability/snapshot.ts';

/** `starting`: no client can be on it yet. `stopping`: it was told to end. */
export type WorkerProcessState = 'starting' | 'ready' | 'stopping' | 'exited';

export class WorkerProcess {
  readonly id: string;
  readonly slot: number;
  /** the Unix socket on which it listens for links */
  readonly path: string;
  state: WorkerProcessState = 'starting';
  /** one more after each reload */
  generation = 1;
  /** siblings can dial it */
  meshListening = false;
  /** as it last said */
  connections = 0;
  /** when it was forked and when it last answered a ping, in milliseconds of the monotonic clock */
  readonly startedAt: number;
  answeredAt: number;
  /** why the primary ended it, for the log */
  killedFor: string | null = null;
  /** what it said of a start that failed */
  fault: { message: string; operator: boolean } | null = null;
  readonly #worker: Worker;
  readonly #requests = new Requests();

  constructor(worker: Worker, id: string, slot: number, path: string, now: number) {
    this.#worker = worker;
    this.id = id;
    this.slot = slot;
    this.path = path;
    this.startedAt = now;
    this.answeredAt = now;
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  /** Clients can be on it. */
  get serving(): boolean {
    return this.state === 'ready' || this.state === 'stopping';
  }

  send(message: ToWorker): void {
    // One that is about to exit cannot be told; its exit event says the rest.
    if (this.#worker.isConnected()) this.#worker.send(message, undefined, () => undefined);
  }

  /** Asks for its part of an action. @throws {DeadlineError} as a rejection */
  ask<A extends ActionName>(
    action: A,
    input: ActionInput<A>,
    timeoutMs: number,
    trace?: string,
  ): Promise<ActionPart<A>> {
    return this.#requests.ask((id) => {
      this.send({ kind: 'ask', id, action, input, trace });
    }, timeoutMs) as Promise<ActionPart<A>>;
  }

  /** Asks what it has counted. @throws {DeadlineError} as a rejection */
  collect(timeoutMs: number): Promise<Snapshot> {
    return this.#requests.ask((id) => {
      this.send({ kind: 'collect', id });
    }, timeoutMs) as Promise<Snapshot>;
  }

  answered(message: Extract<ToPrimary, { kind: 'part' }>): void {
    this.#requests.answer(message.id, message.part);
  }

  kill(reason: string): void {
    this.killedFor = reason;
    this.#worker.process.kill('SIGKILL');
  }

  exited(): void {
    this.state = 'exited';
    this.#requests.failAll(new WorkerGoneError(`worker ${this.id} is gone`));
  }
}

/** The worker has exited, and its connections with it. */
export class WorkerGoneError extends Error {
  override readonly name = 'WorkerGoneError';
}
