/**
 * A soak: `npm run soak -- --minutes 20` (fractions allowed). Writers and readers that stay, clients that come and go,
 * readers that stand still, and a worker that is killed now and then. A message counts as lost if a reader whose
 * connection lived from before it was sent until after it should have come did not get it and both workers lived.
 */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, residentBytes, startHub, type Client, type HubProcess } from '../support.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '20' } } });
const durationMs = Number(values.minutes) * 60_000;
if (!(durationMs > 0)) throw new Error('--minutes must be a number above 0');

const rooms = 10;
const readersPerRoom = 4;
const messageEveryMs = 20;
const killEveryMs = Math.max(10_000, durationMs / 20);
/** with a byte rate of 16 MiB/s far from any limit */
const stalledReaders = 10;

const totals = {
  sent: 0,
  delivered: 0,
  lost: 0,
  doubled: 0,
  outOfOrder: 0,
  reconnects: 0,
  kills: 0,
  churned: 0,
};

/** One reader of one room: it checks the numbers of its writer, which begin anew with each life of the writer. */
class Reader {
  client: Client | undefined;
  readonly #room: number;
  #life = '';
  #next = -1;

  constructor(room: number) {
    this.#room = room;
  }

  async run(hub: HubProcess, until: () => boolean): Promise<void> {
    while (!until()) {
      const client = await connect(hub, `room-${this.#room}`).catch(() => undefined);
      if (!client) {
        await sleep(100);
        continue;
      }
      this.client = client;
      this.#next = -1;
      while (!client.closed && !until()) {
        await sleep(50);
        for (const text of client.received.splice(0)) this.#check(text);
      }
      if (!until()) totals.reconnects += 1;
      client.ws.terminate();
    }
  }

  #check(text: string): void {
    const { life, n } = JSON.parse(text) as { life?: string; n?: number };
    if (life === undefined || n === undefined) return; // `disconnected`, `draining`
    totals.delivered += 1;
    if (life !== this.#life) {
      this.#life = life;
      this.#next = -1;
    }
    if (this.#next === -1 || n === this.#next) {
      this.#next = n + 1;
    } else if (n > this.#next) {
      totals.lost += n - this.#next;
      this.#next = n + 1;
    } else if (n === this.#next - 1) {
      totals.doubled += 1;
    } else {
      totals.outOfOrder += 1;
    }
  }
}

async function write(hub: HubProcess, room: number, until: () => boolean): Promise<void> {
  while (!until()) {
    const client = await connect(hub, `room-${room}?echo=false`).catch(() => undefined);
    if (!client) {
      await sleep(100);
      continue;
    }
    for (let n = 0; !client.closed && !until(); n += 1) {
      client.send({ life: client.connectionId, n });
      totals.sent += 1;
      await sleep(messageEveryMs);
    }
    client.ws.terminate();
  }
}

/** Clients that come, say a word in a room of their own, and go. */
async function churn(hub: HubProcess, until: () => boolean): Promise<void> {
  for (let i = 0; !until(); i += 1) {
    const client = await connect(hub, `short-${i % 100}`).catch(() => undefined);
    client?.send('hello');
    await sleep(20);
    client?.ws.terminate();
    totals.churned += 1;
  }
}

/** Readers that never read. */
async function stall(hub: HubProcess, until: () => boolean): Promise<void> {
  while (!until()) {
    const client = await connect(hub, 'room-0').catch(() => undefined);
    client?.ws.pause();
    await sleep(30_000, undefined, { ref: false });
    client?.ws.terminate();
  }
}

async function kill(hub: HubProcess, until: () => boolean): Promise<void> {
  for (let i = 0; !until(); i += 1) {
    await sleep(killEveryMs);
    const worker = hub.workers[i % hub.workers.length];
    if (until() || !worker) return;
    process.kill(worker.pid, 'SIGKILL');
    totals.kills += 1;
  }
}

function measure(hub: HubProcess): string {
  const pids = [hub.pid, ...hub.workers.map(({ pid }) => pid)];
  const parts = pids.map((pid, index) => {
    try {
      const memory = (residentBytes(pid) / 1024 / 1024).toFixed(0);
      const descriptors = readdirSync(`/proc/${pid}/fd`).length;
      return `${index === 0 ? 'primary' : `worker ${index}`} ${memory} MiB ${descriptors} descriptors`;
    } catch {
      return 'a worker that is being replaced';
    }
  });
  return parts.join(', ');
}

const hub = await startHub();
const started = performance.now();
const over = () => performance.now() - started >= durationMs;
const jobs = [kill(hub, over), churn(hub, over)];
for (let room = 0; room < rooms; room += 1) {
  for (let i = 0; i < readersPerRoom; i += 1) jobs.push(new Reader(room).run(hub, over));
  jobs.push(write(hub, room, over));
}
for (let i = 0; i < stalledReaders; i += 1) jobs.push(stall(hub, over));

for (const share of [0.1, 0.5, 1]) {
  await sleep(Math.max(0, durationMs * share - (performance.now() - started)));
  process.stdout.write(`${share * 100} %: ${measure(hub)}\n`);
}
await Promise.race([Promise.all(jobs), sleep(5_000)]);
process.stdout.write(
  `messages: ${totals.sent} sent, ${totals.delivered} delivered, ${totals.lost} lost, ${totals.doubled} doubled, ` +
    `${totals.outOfOrder} out of order; ${totals.churned} short clients, ${totals.kills} kills, ` +
    `${totals.reconnects} readers reconnected\n`,
);
await hub.end().catch((error: unknown) => {
  process.stdout.write(`the end: ${String(error)}\n`);
  process.exitCode = 1;
});
process.exit(totals.lost + totals.doubled + totals.outOfOrder > 0 ? 1 : undefined);
