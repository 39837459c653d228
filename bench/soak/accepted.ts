/**
 * Whether everything that a hub accepts is delivered while its workers are replaced. Publishers of all kinds send
 * numbers and note which were accepted; readers move to the new workers as the protocol says. What is asked for is
 * exactly what is promised: a reader gets every number that was sent after it had read `connected` and was accepted.
 */
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Client, codeOf, connect, type HubProcess } from '../../test/support.ts';

const channel = 'accepted';
/** A request on a connection that was idle for so long may cross its close; HTTP has no remedy for that. */
const idleMs = 1_000;
/** so long a number that was accepted may take to reach a reader */
const patienceMs = 30_000;

/** Computes for 100 ms, and confirms accepted messages to its client. */
const handlers = `
  import { setTimeout as sleep } from 'node:timers/promises';
  const computed = async (value) => { await sleep(100); return value; };
  export default {
    types: {
      compute: ({ publisher, n }, { connection }) => {
        connection.send({ accepted: [{ publisher, n }] });
        return computed({ publisher, n });
      },
      announce: async ({ publisher, n }, { connection, hub }) => {
        const outcomes = await hub.broadcastCommand('publish', { publisher, n });
        connection.send({ accepted: outcomes.flatMap(({ value }) => value ?? []) });
      },
    },
    broadcastCommands: {
      publish: async ({ publisher, n }, { hub }) => {
        const value = await computed({ publisher: publisher + ' on ' + hub.workerId, n });
        hub.publish('${channel}', value);
        return value;
      },
    },
  };
`;

/** Writes the handlers that the publishers need. @returns the file */
export function writeHandlers(folder: string): string {
  const file = join(folder, 'handlers.js');
  writeFileSync(file, handlers);
  return file;
}

interface Sent {
  publisher: string;
  n: number;
}

export class AcceptedMessages {
  /** numbers that were sent; one counter for all publishers */
  #last = 0;
  readonly #accepted = new Map<string, number>();
  readonly #readers: Reader[];
  readonly #hub: HubProcess;
  #over = false;
  readonly #jobs: Promise<void>[] = [];
  /** requests that ended without an answer, and whatever else a client was not told */
  readonly faults: string[] = [];
  polls = 0;

  constructor(hub: HubProcess, readers = 4) {
    this.#hub = hub;
    this.#readers = Array.from({ length: readers }, () => new Reader(hub, () => this.#last));
  }

  get count(): number {
    return this.#accepted.size;
  }

  /** Resolves when all readers are there and all publishers publish. */
  async start(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.open()));
    for (let i = 0; i < 8; i += 1) this.#jobs.push(this.#post(`post ${i}`));
    for (const type of ['plain', 'plain', 'compute', 'compute', 'announce', 'announce'] as const) {
      this.#jobs.push(this.#speak(type, `${type} ${this.#jobs.length}`));
    }
    this.#jobs.push(this.#poll());
  }

  /** Waits for all messages accepted so far. @returns those that a reader has not received */
  async missing(): Promise<string[]> {
    const accepted = [...this.#accepted];
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const missing = this.#readers.flatMap((reader, index) => reader.missing(accepted, index));
      if (missing.length === 0 || performance.now() > deadline) return missing;
      await sleep(50);
    }
  }

  /** Discards compared messages, so that a long soak needs no more memory than a short one. */
  forget(): void {
    this.#accepted.clear();
    for (const reader of this.#readers) reader.forget(this.#last);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#jobs);
    for (const reader of this.#readers) reader.end();
  }

  #accept({ publisher, n }: Sent): void {
    this.#accepted.set(keyOf(publisher, n), n);
  }

  /** One kept-alive connection after the other, always with a request under way. */
  async #post(publisher: string): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let restsSince = performance.now();
    while (!this.#over) {
      const n = (this.#last += 1);
      const sentAt = performance.now();
      const options = { port: this.#hub.port, agent, body: JSON.stringify({ publisher, n }) };
      const answer = await this.#hub
        .admin('POST', `/channels/${channel}/messages`, options)
        .catch((error: unknown) => {
          if (sentAt - restsSince < idleMs) this.faults.push(`${publisher}: ${String(error)}`);
        });
      restsSince = performance.now();
      if (answer?.status === 202) this.#accept({ publisher, n });
      else if (answer && codeOf(answer) !== 'unavailable') this.faults.push(JSON.stringify(answer));
      await sleep(5);
    }
    agent.destroy();
  }

  /** Over WebSockets: a message is accepted if it returns to its own connection, or if a handler confirms it. */
  async #speak(type: 'plain' | 'compute' | 'announce', publisher: string): Promise<void> {
    const path = type === 'plain' ? channel : `${channel}?echo=false`;
    let client = await connect(this.#hub, path);
    const move = { wanted: false };
    const listen = (to: Client) => {
      move.wanted = false;
      to.ws.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as Partial<Sent> & { accepted?: Sent[]; status?: string };
        if (message.status === 'draining' && to === client) move.wanted = true;
        if (message.publisher === publisher) this.#accept(message as Sent);
        for (const sent of message.accepted ?? []) this.#accept(sent);
        to.received.length = 0;
      });
    };
    listen(client);
    while (!this.#over) {
      if (move.wanted || client.closed) {
        client = await connect(this.#hub, path);
        listen(client);
      }
      const n = (this.#last += 1);
      client.send(type === 'plain' ? { publisher, n } : { type, publisher, n });
      await sleep(type === 'plain' ? 5 : 150);
    }
    client.ws.terminate();
  }

  async #poll(): Promise<void> {
    while (!this.#over) {
      await this.#hub.admin('GET', '/state').catch((error: unknown) => {
        this.faults.push(`/state: ${String(error)}`);
      });
      this.polls += 1;
      await sleep(20);
    }
  }
}

/** Opens its next connection when the present one is draining; the hub closes the old one. */
class Reader {
  readonly #hub: HubProcess;
  readonly #last: () => number;
  readonly #got = new Set<string>();
  /** numbers up to this one were sent before its present connection was there */
  #since = 0;
  #client: Client | null = null;
  #opening: Promise<void> | null = null;
  #over = false;

  constructor(hub: HubProcess, last: () => number) {
    this.#hub = hub;
    this.#last = last;
  }

  async open(): Promise<void> {
    const client = await connect(this.#hub, channel);
    this.#client = client;
    this.#opening = null;
    this.#since = this.#last();
    const read = (text: string) => {
      const { publisher, n, status } = JSON.parse(text) as Partial<Sent> & { status?: string };
      if (publisher !== undefined && n !== undefined) this.#got.add(keyOf(publisher, n));
      else if (status === 'draining') this.#move(client);
    };
    for (const text of client.received.splice(0)) read(text);
    client.ws.on('message', (data: Buffer) => {
      client.received.length = 0;
      read(data.toString());
    });
    client.ws.on('close', () => {
      this.#move(client);
    });
  }

  missing(accepted: readonly (readonly [key: string, n: number])[], index: number): string[] {
    if (this.#opening) return [`reader ${index} is not connected`];
    return accepted.flatMap(([key, n]) =>
      n > this.#since && !this.#got.has(key) ? [`reader ${index} has not got ${key}`] : [],
    );
  }

  forget(upTo: number): void {
    this.#got.clear();
    this.#since = Math.max(this.#since, upTo);
  }

  end(): void {
    this.#over = true;
    this.#client?.ws.terminate();
  }

  #move(from: Client): void {
    if (this.#over || from !== this.#client || this.#opening) return;
    this.#opening = this.open();
  }
}

function keyOf(publisher: string, n: number): string {
  return `${publisher} #${n}`;
}

/** Stops a worker, of those that serve and those that drain, for a while; again and again. */
export async function standStill(
  hub: HubProcess,
  seed: number,
  maxMs: number,
  isOver: () => boolean,
): Promise<number> {
  const stop = fc.record({
    afterMs: fc.integer({ min: 500, max: 2_500 }),
    forMs: fc.integer({ min: 1_000, max: maxMs }),
    worker: fc.nat(),
  });
  let stops = 0;
  for (const { afterMs, forMs, worker } of fc.sample(stop, { seed, numRuns: 10_000 })) {
    if (isOver()) break;
    await sleep(afterMs);
    const ready = hub.log.filter(({ msg }) => msg === 'worker ready').slice(-2 * hub.workers.length);
    const pid = Number(ready[worker % ready.length]?.['workerPid']);
    try {
      process.kill(pid, 'SIGSTOP');
      stops += 1;
      await sleep(forMs);
      process.kill(pid, 'SIGCONT');
    } catch {
      // It is gone.
    }
  }
  return stops;
}
