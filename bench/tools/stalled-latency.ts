/**
 * Measures what 1 000 readers that stand still cost the others: `node bench/tools/stalled-latency.ts`. Fifty readers of one
 * channel get a hundred messages a second; their latency is printed without stalled readers, then while a thousand of
 * another channel do not read what they are sent, until the hub has closed them all with 4100. Those stand in a process
 * of their own, so that what it costs to have them is not measured as the others' latency.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect, startHub, type Client, type HubProcess } from '../../test/support.ts';

const readers = 50;
const perSecond = 100;
const stalledReaders = 1_000;
const quietMs = 10_000;
const timeoutMs = 120_000;
const filler = 'x'.repeat(32 * 1024);

/** Latencies in milliseconds since the last `take`. */
class Latencies {
  #all: number[] = [];

  record(sentAt: number): void {
    this.#all.push(performance.now() - sentAt);
  }

  take(): string {
    const sorted = this.#all.sort((a, b) => a - b);
    this.#all = [];
    const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(1);
    return `${sorted.length} messages, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, largest ${at(1)} ms`;
  }
}

async function many(hub: Pick<HubProcess, 'port'>, channel: string, count: number): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < count) {
    clients.push(...(await Promise.all(Array.from({ length: 50 }, () => connect(hub, channel)))));
  }
  return clients;
}

function every(ms: number, act: () => void): NodeJS.Timeout {
  return setInterval(act, ms);
}

/** The process of the stalled readers: says when they stand there, then floods them until it is killed. */
async function standStill(port: number): Promise<void> {
  const stalled = await many({ port }, 'stalled', stalledReaders);
  const flood = await connect({ port }, 'stalled?echo=false');
  for (const client of stalled) client.socket?.pause();
  process.send?.('stalled');
  every(50, () => {
    flood.send(filler);
  });
}

async function measure(): Promise<void> {
  const hub = await startHub();
  const latencies = new Latencies();
  for (const { ws } of await many(hub, 'others', readers)) {
    ws.on('message', (data: Buffer) => {
      latencies.record(Number(data.toString()));
    });
  }
  const writer = new WebSocket(`ws://127.0.0.1:${hub.port}/others?echo=false`);
  await new Promise((resolve) => writer.once('message', resolve));
  every(1_000 / perSecond, () => {
    writer.send(String(performance.now()));
  });

  await sleep(quietMs);
  latencies.take(); // warm-up
  await sleep(quietMs);
  console.log(`without stalled readers: ${latencies.take()}`);

  const child = fork(import.meta.filename, [String(hub.port)]);
  await once(child, 'message');
  latencies.take();
  const startedAt = performance.now();
  const closed = async () => {
    const { body } = await hub.admin('GET', '/state');
    return (body as { totals: { connections: number } }).totals.connections <= readers + 2;
  };
  while (!(await closed()) && performance.now() - startedAt < timeoutMs) await sleep(200);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  console.log(`with ${stalledReaders}, all closed after ${seconds} s: ${latencies.take()}`);

  child.kill();
  hub.killAll();
  process.exit();
}

const [, , port] = process.argv;
await (port === undefined ? measure() : standStill(Number(port)));
