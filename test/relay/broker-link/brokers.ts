/** Brokers for tests: real processes on a real Unix socket, which can be killed and started again. */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  BrokerLink,
  type BrokerLinkEvents,
  type Delivery,
  type Draft,
  type BrokerLinkOptions,
} from '../../../src/relay/broker-link/broker-link.ts';
import type { MemberEvent } from '../../../src/channel/member.ts';
import type { FromBroker, RedisBrokerOptions, ToBroker } from '../../../src/ipc/broker-messages.ts';
import type { Position } from '../../../src/engine/engine.ts';
import { createLog } from '../../../src/platform/log.ts';
import { cleanEnvironment, temporaryFolder } from '../../support.ts';

const main = join(import.meta.dirname, '../../../src/main.ts');
const patienceMs = 60_000;
const log = createLog('silent', 'test', 'json');

/** Calls back when something happens, so that a wait is for an event. */
export class Signal {
  #waiting: (() => void)[] = [];

  happened(): void {
    for (const look of this.#waiting.splice(0)) look();
  }

  /** Resolves once `test` is true; it is looked at again whenever something has happened. */
  async until(test: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!test()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        setTimeout(resolve, 100);
      });
    }
  }
}

type WorkerOptions = Pick<BrokerLinkOptions, 'handleMembers'> & { maxUnacknowledgedBytes?: number };

export class TestBroker {
  readonly stateDir: string;
  readonly path: string;
  readonly hubId = 'hub-of-the-tests';
  namespace: Record<string, unknown> = { historySize: 100_000, historyTtl: '1h' };
  /** workers that the next one waits for */
  expected: string[] = [];
  historyMaxBytes = 256 * 1024 * 1024;
  redis: RedisBrokerOptions | null = null;
  #child: ChildProcess | null = null;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    const folder = temporaryFolder(t);
    this.stateDir = join(folder, 'state');
    mkdirSync(this.stateDir);
    this.path = join(folder, 'broker.sock');
    t.after(() => this.kill());
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = this.launch();
    const listening = new Promise<void>((resolve, reject) => {
      child.on('message', (message: FromBroker) => {
        if (message.kind === 'listening') resolve();
        if (message.kind === 'failed') reject(new Error(message.message));
      });
      child.on('exit', () => {
        reject(new Error('the broker has ended'));
      });
    });
    await listening;
  }

  /** Tells a new process to start, and returns it. */
  launch(): ChildProcess {
    const child = fork(main, ['broker'], {
      env: cleanEnvironment({}),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.send({
      kind: 'start',
      options: {
        hubId: this.hubId,
        path: this.path,
        redis: this.redis,
        stateDir: this.stateDir,
        historyMaxBytes: this.historyMaxBytes,
        namespaces: { namespaces: [this.namespace], strictNamespaces: false },
        logLevel: 'info',
        logFormat: 'json',
        workers: this.expected,
      },
    });
    return child;
  }

  send(message: ToBroker): void {
    this.#child?.send(message);
  }

  /** Resolves when it has ended. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    const child = this.#child;
    assert.ok(child);
    const ended = new Promise((resolve) => child.on('exit', resolve));
    this.send({ kind: 'stop' });
    assert.equal(await ended, 0);
  }

  worker(workerId: string, options: WorkerOptions = {}): TestWorker {
    const worker = new TestWorker(this, workerId, options);
    this.#t.after(() => {
      worker.link.close();
    });
    return worker;
  }
}

const none = Buffer.alloc(0);

export function draft(payload: string | Buffer, more: Partial<Draft> = {}): Draft {
  return { payload: Buffer.from(payload), meta: none, key: '', sender: 0, readAt: 1, trace: none, ...more };
}

/** A worker's end of a link, with everything that came over it. */
export class TestWorker implements BrokerLinkEvents {
  readonly link: BrokerLink;
  readonly signal = new Signal();
  readonly received: (Omit<Delivery, 'payload' | 'meta'> & {
    channel: string;
    payload: string;
    meta: string;
  })[] = [];
  readonly gaps: { channel: string; position: Position }[] = [];
  /** joins and leaves, as `kind channel connection` */
  readonly members: string[] = [];
  readonly congestions: boolean[] = [];
  ups = 0;
  downs = 0;

  constructor(broker: TestBroker, workerId: string, options: WorkerOptions) {
    const { path, hubId } = broker;
    this.link = new BrokerLink({ path, hubId, workerId, log, events: this, ...options });
    this.link.open();
  }

  publication(channel: string, delivery: Delivery): void {
    const { payload, meta } = delivery;
    this.received.push({
      ...delivery,
      channel,
      payload: payload.toString('latin1'),
      meta: meta.toString('latin1'),
    });
    this.signal.happened();
  }

  relayed(): void {
    // tested by several machines
  }

  gap(channel: string, position: Position): void {
    this.gaps.push({ channel, position });
    this.signal.happened();
  }

  member(channel: string, { kind, member }: MemberEvent): void {
    this.members.push(`${kind} ${channel} ${member.connectionId}`);
    this.signal.happened();
  }

  congested(isCongested: boolean): void {
    this.congestions.push(isCongested);
    this.signal.happened();
  }

  up(): void {
    this.ups += 1;
    this.signal.happened();
  }

  down(): void {
    this.downs += 1;
    this.signal.happened();
  }

  subscribe(channel: string): Promise<Position> {
    return new Promise((resolve) => {
      this.link.subscribe(channel, resolve);
    });
  }

  /** Publishes and resolves with where it was stored. */
  publish(channel: string, payload: string, more: Partial<Draft> = {}) {
    return new Promise<{ position: Position | null; duplicate: 'key' | 'retry' | null }>((resolve) => {
      this.link.publish(channel, draft(payload, more), resolve);
    });
  }

  history(channel: string, since: Position | null, limit = 100_000) {
    return new Promise<{ top: Position; complete: boolean; texts: string[] }>((resolve, reject) => {
      this.link.history(channel, { since, limit, limitBytes: 2 ** 24 }, (page) => {
        if (!page) reject(new Error('no answer'));
        else
          resolve({
            top: page.top,
            complete: page.complete,
            texts: page.messages.map(({ payload }) => payload),
          });
      });
    });
  }

  texts(channel: string): string[] {
    return this.received.filter((each) => each.channel === channel).map(({ payload }) => payload);
  }
}
