/** The broker process as the primary sees it: its messages, its state, and when it last answered. */
import { fork, type ChildProcess } from 'node:child_process';
import {
  machinesAnswer,
  parseFromBroker,
  type BrokerOptions,
  type FromBroker,
  type MachinesAnswer,
  type MachinesAsk,
  type ToBroker,
} from '../ipc/broker-messages.ts';
import { parseSnapshot } from '../ipc/parse.ts';
import { RpcClient } from '../ipc/rpc.ts';
import type { Snapshot } from '../metrics/snapshot.ts';

/**
 * History is on the heap of V8: heap bytes for each byte of the history limit, and a base for all other data. A member of a
 * channel with presence takes 740 bytes (300 000 members with a user and a short info).
 */
const heapPerByte = 2;
const heapBaseMb = 2_048;
const callee = 'the broker';
/** time for the broker itself, in addition to that of the machines */
const brokerDelayMs = 500;

export class BrokerProcess {
  /** it is no worker: no slot is its own */
  readonly slot = -1;
  /** workers can dial it */
  serving = false;
  /** the engine is reached; true where no server is needed */
  isEngineUp = true;
  /** why the start failed; null: it has not */
  fault: { message: string; operator: boolean } | null = null;
  /** when it last answered, in milliseconds of the monotonic clock */
  answeredAt = performance.now();
  /** it was told to end: its exit is no failure */
  isEnding = false;
  /** why the primary killed it; null: it has not */
  killedFor: string | null = null;
  /** resolves when the process has exited */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #calls = new RpcClient();

  /** Starts it. @param exec the file that every process of the hub runs */
  constructor(exec: string, cwd: string, options: BrokerOptions, owner: BrokerOwner) {
    const historyBytes = options.redis ? 0 : options.historyMaxBytes;
    const heapMb = Math.ceil((historyBytes * heapPerByte) / 2 ** 20) + heapBaseMb;
    const execArgv = [...process.execArgv, `--max-old-space-size=${heapMb}`];
    const child = fork(exec, ['broker'], { execArgv, cwd, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    child.on('message', (received) => {
      const message = parseFromBroker(received);
      if (message) this.#onMessage(message, owner);
    });
    this.gone = new Promise((resolve) => {
      let isGone = false;
      const end = (code: number | null, signal: string | null) => {
        if (isGone) return;
        isGone = true;
        this.serving = false;
        this.#calls.gone(callee);
        resolve();
        owner.exited(this, code, signal);
      };
      child.on('exit', end);
      child.on('error', (error) => {
        // Without a process (no descriptors, no memory) no exit follows.
        this.fault ??= { message: error.message, operator: false };
        if (child.pid === undefined) end(null, null);
      });
    });
    this.send({ kind: 'start', options });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(message: ToBroker): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** see Collectable. @throws {DeadlineError} as a rejection */
  async collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void> {
    await this.#calls.call({
      callee,
      name: 'collect',
      timeoutMs,
      send: (id) => {
        this.send({ kind: 'collect', id });
        return true;
      },
      take: (part) => {
        const snapshot = parseSnapshot(part);
        if (snapshot) take(snapshot);
      },
    });
  }

  /** Asks the other machines. Rejects with a DeadlineError or a GoneError. */
  async askMachines(ask: MachinesAsk): Promise<MachinesAnswer> {
    const answer = await this.#calls.call({
      callee,
      name: ask.action,
      timeoutMs: ask.timeoutMs + brokerDelayMs,
      send: (id) => {
        this.send({ kind: 'askMachines', id, ask });
        return true;
      },
    });
    return machinesAnswer.parse(answer);
  }

  kill(reason: string): void {
    this.killedFor = reason;
    this.#child.kill('SIGKILL');
  }

  #onMessage(message: FromBroker, owner: BrokerOwner): void {
    this.answeredAt = performance.now();
    switch (message.kind) {
      case 'listening':
        this.serving = true;
        owner.listening(this);
        break;
      case 'asked':
        owner.asked(this, message.id, message.ask);
        break;
      case 'engine':
        this.isEngineUp = message.isUp;
        break;
      case 'failed':
        this.fault = message;
        this.kill(message.message);
        break;
      case 'part':
        this.#calls.answer(callee, message.id, message.part);
        break;
      case 'counted': {
        const snapshot = parseSnapshot(message.snapshot);
        if (snapshot) owner.counted(this, snapshot);
        break;
      }
      case 'pong': // that it came is all
        break;
    }
  }
}

export interface BrokerOwner {
  /** Workers can dial it. */
  listening(broker: BrokerProcess): void;
  /** The broker has reported its counters. */
  counted(broker: BrokerProcess, snapshot: Snapshot): void;
  /** Another machine asks for this machine's parts of an admin action; an `answered` must follow. */
  asked(broker: BrokerProcess, id: number, ask: MachinesAsk): void;
  /** The process has exited; the last call for it. */
  exited(broker: BrokerProcess, code: number | null, signal: string | null): void;
}
