/** One forked worker as the primary sees it: its messages, its state, and what was asked of it. */
import type { SendHandle } from 'node:child_process';
import type { Worker } from 'node:cluster';
import type { Call } from '../admin/action.ts';
import type { DrainOrder, ToPrimary, ToWorker } from '../ipc/messages.ts';
import { parseSnapshot } from '../ipc/parse.ts';
import { DeadlineError, RpcClient } from '../ipc/rpc.ts';
import { OwnSocket, type ListeningSocket } from '../platform/node-internals/listening-socket.ts';
import type { Acceptor } from './listeners.ts';
import type { Snapshot } from '../metrics/snapshot.ts';

/** `starting`: no client can be on it yet. `draining`: it was told to end. */
export type WorkerProcessState = 'starting' | 'ready' | 'draining' | 'exited';

/** after so long without an answer to a ping another worker accepts from its socket too */
const silentMs = 3_000;
/** a worker that does not say within this time that it listens is not waited for, and killed if it never has */
const listenTimeoutMs = 10_000;

export class WorkerProcess implements Acceptor {
  readonly id: string;
  readonly slot: number;
  /** the Unix socket on which it listens for links */
  readonly path: string;
  state: WorkerProcessState = 'starting';
  /** one more after each reload */
  generation = 1;
  /** siblings can dial it */
  meshListening = false;
  /** it accepts, or has accepted, clients */
  listening = false;
  /** as it last said */
  connections = 0;
  /** its connections and those half way in, as it last said */
  clients = 0;
  rssBytes = 0;
  /** answers in a row in which it was not linked to all siblings */
  unlinkedAnswers = 0;
  /** when it was forked and when it last answered a ping, in milliseconds of the monotonic clock */
  readonly startedAt: number;
  answeredAt: number;
  /** why the primary ended it, for the log */
  killedFor: string | null = null;
  /** what it said of a start that failed */
  fault: { message: string; operator: boolean } | null = null;
  /** resolves when the process is gone */
  readonly gone: Promise<void>;
  #onGone: () => void = () => undefined;
  #deadline: NodeJS.Timeout | undefined;
  readonly #worker: Worker;
  readonly #requests = new RpcClient();

  constructor(worker: Worker, id: string, slot: number, path: string, now: number) {
    this.#worker = worker;
    this.id = id;
    this.slot = slot;
    this.path = path;
    this.startedAt = now;
    this.answeredAt = now;
    this.gone = new Promise((resolve) => (this.#onGone = resolve));
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  /** Clients can be on it. */
  get serving(): boolean {
    return this.state === 'ready' || this.state === 'draining';
  }

  /** @param handle goes along */
  send(message: ToWorker, handle?: ListeningSocket): void {
    // One that is about to exit cannot be told; its exit event says the rest.
    if (this.#worker.isConnected()) this.#worker.send(message, handle as SendHandle, () => undefined);
  }

  /** Links of a new sibling take a moment; only one that stays away counts. */
  get linked(): boolean {
    return this.unlinkedAnswers < 2;
  }

  /** It has answered lately. */
  get responsive(): boolean {
    return performance.now() - this.answeredAt < silentMs;
  }

  /** see Acceptor; a worker that dies meanwhile is left to its exit event, one that cannot listen to its `failed` */
  async listen(index: number, socket: ListeningSocket): Promise<void> {
    const ask = (id: number) => {
      if (socket instanceof OwnSocket) this.send({ kind: 'listen', id, index, address: socket.address });
      else this.send({ kind: 'listen', id, index }, socket);
    };
    try {
      await this.#requests.call(ask, listenTimeoutMs);
      this.listening = true;
    } catch (error) {
      if (error instanceof DeadlineError && !this.listening) this.kill('did not listen in time');
    }
  }

  giveBack(index: number): void {
    this.send({ kind: 'giveBack', index });
  }

  take(index: number, clients: number): void {
    this.send({ kind: 'quota', index, clients });
  }

  /** It has answered a ping. */
  answeredPing(pong: Extract<ToPrimary, { kind: 'pong' }>, now: number): void {
    this.answeredAt = now;
    this.connections = pong.connections;
    this.rssBytes = pong.rssBytes;
    this.unlinkedAnswers = pong.linked ? 0 : this.unlinkedAnswers + 1;
  }

  /** Lets go of its clients and ends; killed if it is not gone in time. */
  drain(order: DrainOrder): void {
    this.state = 'draining';
    this.send({ kind: 'drain', order });
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.kill('not gone in time');
    }, order.budgetMs);
  }

  /** Asks for its part of an action; null: it has left the mesh. @throws {DeadlineError} as a rejection */
  ask({ name, input, timeoutMs }: Call, trace?: string): Promise<unknown> {
    return this.#requests.call((id) => {
      this.send({ kind: 'ask', id, action: name, input, trace });
    }, timeoutMs);
  }

  /** see Collectable. @throws {DeadlineError} as a rejection */
  async collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void> {
    const ask = (id: number) => {
      this.send({ kind: 'collect', id });
    };
    await this.#requests.call(ask, timeoutMs, (part) => {
      const snapshot = parseSnapshot(part);
      if (snapshot) take(snapshot);
    });
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
    clearTimeout(this.#deadline);
    this.#onGone();
    this.#requests.failAll(new WorkerGoneError(`worker ${this.id} is gone`));
  }
}

/** The worker has exited, and its connections with it. */
export class WorkerGoneError extends Error {
  override readonly name = 'WorkerGoneError';
}
