/** The clients of a soak: writers and readers that stay and check each other, and clients that only connect and leave. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../histogram.ts';
import { connect, type Client, type HubProcess } from '../../test/support.ts';

export const totals = {
  sent: 0,
  delivered: 0,
  lost: 0,
  doubled: 0,
  outOfOrder: 0,
  reconnects: 0,
  churned: 0,
};

/** The first lost, doubled or reordered message, in words. */
export const faults: string[] = [];

/** From a writer's send to a reader's receipt, both in this process. */
export const latency = new Histogram();

/**
 * Where a soak is: `load` while everything goes on; `calm` without troubles, until all are connected again; `last` when
 * each writer sends one last message, which every reader must get.
 */
export interface Stage {
  now: 'load' | 'calm' | 'last' | 'over';
}

export interface Room {
  name: string;
  messageEveryMs: number;
  /** of each message, besides its number */
  bytes: number;
}

/** So long a reader stands still; it is closed well before that. */
const stallMs = 15_000;

interface Message {
  /** the connection that it was sent on */
  life: string;
  n: number;
  at: number;
}

/** Tries until it is connected; undefined when the soak is over. */
async function connected(hub: HubProcess, path: string, stage: Stage): Promise<Client | undefined> {
  while (stage.now !== 'over') {
    const client = await connect(hub, path).catch(() => undefined);
    if (client) return client;
    await sleep(100);
  }
  return undefined;
}

/** Sends numbers, which restart with each of its connections. */
export class Writer {
  /** what the next message will be, on which connection */
  life = '';
  workerId = '';
  n = 0;
  /** its connection is open */
  here = false;
  /** it has sent its last message */
  done = false;
  readonly room: Room;

  constructor(room: Room) {
    this.room = room;
  }

  async run(hub: HubProcess, stage: Stage): Promise<void> {
    const filler = 'x'.repeat(this.room.bytes);
    for (;;) {
      const client = await connected(hub, `${this.room.name}?echo=false`, stage);
      if (!client) return;
      this.life = client.connectionId;
      this.workerId = client.workerId;
      this.n = 0;
      this.here = true;
      while (!client.closed && stage.now !== 'over') {
        if (!this.done) {
          this.done = stage.now === 'last';
          client.send({ life: this.life, n: this.n++, at: performance.now(), filler });
          totals.sent += 1;
        }
        await sleep(this.room.messageEveryMs);
      }
      this.here = false;
      client.ws.terminate();
    }
  }
}

/**
 * One reader of one writer. Lost is what is missing between two messages of one connection to another, both of which
 * lived, and what is missing at the end.
 */
export class Reader {
  readonly #writer: Writer;
  #client: Client | undefined;
  #life = '';
  /** what must come next of that life; -1: anything */
  #next = -1;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** It and its writer are connected. */
  get here(): boolean {
    return this.#client !== undefined && !this.#client.closed && this.#writer.here;
  }

  /** It has all that its writer has sent. */
  get complete(): boolean {
    return this.#writer.done && this.#life === this.#writer.life && this.#next === this.#writer.n;
  }

  /** To be called when all were here and nothing more can come. */
  countMissing(): void {
    if (this.complete) return;
    const missing = this.#life === this.#writer.life ? this.#writer.n - this.#next : 1;
    totals.lost += missing;
    this.#tell(`lost ${missing} at the end, of ${this.#writer.n}`);
  }

  async run(hub: HubProcess, stage: Stage): Promise<void> {
    for (let life = 0; ; life += 1) {
      const client = await connected(hub, this.#writer.room.name, stage);
      if (!client) return;
      if (life > 0) totals.reconnects += 1;
      this.#client = client;
      this.#next = -1;
      const read = () => {
        for (const text of client.received.splice(0)) this.#check(JSON.parse(text) as Partial<Message>);
      };
      read();
      client.ws.on('message', read); // behind the client's own listener
      while (!client.closed && stage.now !== 'over') await sleep(50);
      client.ws.terminate();
    }
  }

  #check({ life, n, at }: Partial<Message>): void {
    if (life === undefined || n === undefined || at === undefined) return; // `disconnected`, `draining`
    totals.delivered += 1;
    latency.record(Math.round((performance.now() - at) * 1000));
    if (life !== this.#life) {
      this.#life = life;
      this.#next = -1;
    }
    if (this.#next === -1 || n === this.#next) {
      this.#next = n + 1;
    } else if (n > this.#next) {
      this.#tell(`lost ${n - this.#next} before ${n}`);
      totals.lost += n - this.#next;
      this.#next = n + 1;
    } else if (n === this.#next - 1) {
      this.#tell(`got ${n} twice`);
      totals.doubled += 1;
    } else {
      this.#tell(`got ${n} instead of ${this.#next}`);
      totals.outOfOrder += 1;
    }
  }

  #tell(what: string): void {
    if (faults.length >= 20) return;
    const seconds = (performance.now() / 1000).toFixed(1);
    const { workerId = 'none', connectionId = 'none' } = this.#client ?? {};
    const writer = `${this.#writer.life} on ${this.#writer.workerId}`;
    faults.push(
      `${seconds} s, ${this.#writer.room.name}: ${connectionId} on ${workerId} ${what} (${writer})`,
    );
  }
}

/** Clients that come, say a word in a room of their own, and go. */
export async function churn(hub: HubProcess, stage: Stage): Promise<void> {
  for (let i = 0; stage.now === 'load'; i += 1) {
    const client = await connect(hub, `short-${i % 100}`).catch(() => undefined);
    client?.send('hello');
    await sleep(20);
    client?.ws.terminate();
    totals.churned += 1;
  }
}

/** A reader that never reads, as long as the hub lets it; then another one. */
export async function stall(hub: HubProcess, room: Room, stage: Stage): Promise<void> {
  while (stage.now === 'load') {
    const client = await connect(hub, room.name).catch(() => undefined);
    client?.socket?.pause();
    await sleep(stallMs);
    client?.ws.terminate();
  }
}
