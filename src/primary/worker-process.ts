/** The primary's view of one forked worker: its state, its messages, and pending requests to it. */
import type { SendHandle } from 'node:child_process';
import type { Worker } from 'node:cluster';
import type { Call } from '../admin/action.ts';
import type { DrainOrder, ToPrimary, ToWorker } from '../ipc/messages.ts';
import { parseSnapshot } from '../ipc/parse.ts';
import { DeadlineError, RpcClient } from '../ipc/rpc.ts';
import { OwnSocket, type ListeningSocket } from '../platform/node-internals/listening-socket.ts';
import type { Acceptor } from './listeners.ts';
import type { Snapshot } from '../metrics/snapshot.ts';

/** `starting`: has no clients yet. `draining`: was told to exit. */
export type WorkerProcessState = 'starting' | 'ready' | 'draining' | 'exited';

/** Time without a pong after which another worker also accepts from its socket. */
const silentMs = 3_000;
/** Time limit for a worker to confirm that it listens. A worker that has never listened is then killed. */
const listenTimeoutMs = 10_000;

export class WorkerProcess implements Acceptor {
  readonly id: string;
  readonly slot: number;
  /** path of the Unix socket on which it accepts links */
  readonly path: string;
  state: WorkerProcessState = 'starting';
  /** incremented by each reload */
  generation = 1;
  /** siblings can dial it */
  meshListening = false;
  /** it has begun to accept clients */
  listening = false;
  /** as last reported */
  connections = 0;
  /** connections and pending handshakes, as last reported */
  clients = 0;
  rssBytes = 0;
  /** consecutive pongs in which it was not linked to all siblings */
  unlinkedAnswers = 0;
  /** time of the fork and of the last pong, in ms of the monotonic clock */
  readonly startedAt: number;
  answeredAt: number;
  /** why the primary killed it; null: it did not */
  killedFor: string | null = null;
  /** error of a failed start, as reported by the worker */
  fault: { message: string; operator: boolean } | null = null;
  /** resolves when the process has exited */
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

  /** It may have clients. */
  get serving(): boolean {
    return this.state === 'ready' || this.state === 'draining';
  }

  /** @param handle is passed along with the message */
  send(message: ToWorker, handle?: ListeningSocket): void {
    // A worker that is exiting cannot be reached; its exit event follows.
    if (this.#worker.isConnected()) this.#worker.send(message, handle as SendHandle, () => undefined);
  }

  /** Tolerates one pong without all links: those of a new sibling take a moment to open. */
  get linked(): boolean {
    return this.unlinkedAnswers < 2;
  }

  /** It has answered a ping recently. */
  get responsive(): boolean {
    return performance.now() - this.answeredAt < silentMs;
  }

  /** See Acceptor. Exits and listen errors are reported by the exit event and the message `failed`. */
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

  /** Called with each pong. */
  answeredPing(pong: Extract<ToPrimary, { kind: 'pong' }>, now: number): void {
    this.answeredAt = now;
    this.connections = pong.connections;
    this.rssBytes = pong.rssBytes;
    this.unlinkedAnswers = pong.linked ? 0 : this.unlinkedAnswers + 1;
  }

  /** Tells the worker to close its clients and exit; kills it after the budget of the order. */
  drain(order: DrainOrder): void {
    this.state = 'draining';
    this.send({ kind: 'drain', order });
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.kill('drain timeout');
    }, order.budgetMs);
  }

  /** Requests the worker's part of an action; null: it has left the mesh. @throws {DeadlineError} as a rejection */
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
    this.#requests.failAll(new WorkerGoneError(`worker ${this.id} has exited`));
  }
}

/** The worker has exited; its connections are closed. */
export class WorkerGoneError extends Error {
  override readonly name = 'WorkerGoneError';
}
