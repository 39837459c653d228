/** The primary's view of one forked worker: its state, its messages, and pending requests to it. */
import type { SendHandle } from 'node:child_process';
import type { Worker } from 'node:cluster';
import type { Call } from '../admin/action.ts';
import type { DrainOrder, ToPrimary, ToWorker } from '../ipc/messages.ts';
import { parseSnapshot } from '../ipc/parse.ts';
import { DeadlineError, RpcClient } from '../ipc/rpc.ts';
import type { HubError } from '../platform/errors.ts';
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
  /** it was started with a broker to link to */
  usesBroker = false;
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
  readonly #calls = new RpcClient();

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

  /**
   * Sends a message.
   * @param handle is passed along with the message
   * @returns false: the worker is exiting, nothing was sent; its exit event follows
   */
  send(message: ToWorker, handle?: ListeningSocket): boolean {
    if (!this.#worker.isConnected()) return false;
    this.#worker.send(message, handle as SendHandle, () => undefined);
    return true;
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
    try {
      await this.#call('listen', listenTimeoutMs, (id) =>
        socket instanceof OwnSocket
          ? this.send({ kind: 'listen', id, index, address: socket.address })
          : this.send({ kind: 'listen', id, index }, socket),
      );
      this.listening = true;
    } catch (error) {
      if (error instanceof DeadlineError && !this.listening) this.kill('did not listen in time');
    }
  }

  release(index: number): void {
    this.send({ kind: 'release', index });
  }

  setQuota(index: number, clients: number): void {
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

  /**
   * Requests the worker's part of an action; `null`: it has left the mesh. Rejects with the HubError that the worker
   * answers with, a DeadlineError, a GoneError, or an error that says that the answer is not a part.
   */
  async ask(call: Call, trace?: string): Promise<unknown> {
    const { name, input, timeoutMs } = call;
    const part = await this.#call(name, timeoutMs, (id) =>
      this.send({ kind: 'ask', id, action: name, input, trace }),
    );
    if (part === null) return null;
    try {
      return call.parsePart(part);
    } catch (cause) {
      throw new Error(`${this.#name} answered "${name}" with something else than its part`, { cause });
    }
  }

  /** see Collectable. Rejects as `ask` does. */
  async collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void> {
    const ask = (id: number) => this.send({ kind: 'collect', id });
    await this.#call('collect', timeoutMs, ask, (part) => {
      const snapshot = parseSnapshot(part);
      if (snapshot) take(snapshot);
    });
  }

  answered(id: number, part: unknown): void {
    this.#calls.answer(this.#name, id, part);
  }

  /** It has answered with an error. */
  refused(id: number, error: HubError): void {
    this.#calls.fail(this.#name, id, error);
  }

  kill(reason: string): void {
    this.killedFor = reason;
    this.#worker.process.kill('SIGKILL');
  }

  exited(): void {
    this.state = 'exited';
    clearTimeout(this.#deadline);
    this.#onGone();
    this.#calls.gone(this.#name);
  }

  get #name(): string {
    return `worker ${this.id}`;
  }

  #call(
    name: string,
    timeoutMs: number,
    send: (id: number) => boolean,
    take: (value: unknown) => void = () => undefined,
  ): Promise<unknown> {
    return this.#calls.call({ callee: this.#name, name, timeoutMs, send, take });
  }
}
