/**
 * Measures what channels with more than a worker can write cost the others: `node bench/tools/hog-latency.ts`. Pairs of
 * clients on two workers send each other small messages, and new channels are joined, first undisturbed, then beside one
 * sender of 240 messages of 64 KB a second to 1 000 readers, then beside four with 200 readers each. Latency, losses and
 * the time of a join are printed side by side. The readers of the busy channels stand in a process of their own.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { scrape, sum } from '../../test/metrics/exposition.ts';
import {
  connect,
  connectApart,
  handshake,
  openSocket,
  startHub,
  type HubProcess,
} from '../../test/support.ts';

const pairs = 8;
const perSecond = 50;
const measuredMs = 15_000;
const settleMs = 5_000;
const hogPerSecond = 240;
const filler = 'x'.repeat(64_000);

/** Milliseconds, sorted when they are looked at. */
class Times {
  #all: number[] = [];

  add(ms: number): void {
    this.#all.push(ms);
  }

  get size(): number {
    return this.#all.length;
  }

  take(): string {
    const sorted = this.#all.sort((a, b) => a - b);
    this.#all = [];
    const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(1);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, largest ${at(1)} ms`;
  }
}

/** The process of the busy channels: says when all readers are there, then sends until it is killed. */
async function beBusy(port: number, senders: number, readersEach: number): Promise<void> {
  for (let hog = 0; hog < senders; hog += 1) {
    for (let reader = 0; reader < readersEach; reader += 1) {
      const { socket } = await openSocket(port);
      const lines = Object.entries({ host: 'test', ...handshake }).map(
        ([name, value]) => `${name}: ${value}`,
      );
      socket.removeAllListeners('data');
      const opened = once(socket, 'data');
      socket.write([`GET /hog/${hog} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      await opened;
      socket.on('data', () => undefined);
    }
  }
  for (let hog = 0; hog < senders; hog += 1) {
    const author = await connect({ port }, `hog/${hog}?echo=false`);
    setInterval(() => {
      // As a client does that minds its own memory: what is not taken is not sent.
      if (author.ws.bufferedAmount < 1024 * 1024) author.ws.send(JSON.stringify(filler));
    }, 1_000 / hogPerSecond);
  }
  process.send?.('busy');
}

async function measure(hub: HubProcess, name: string): Promise<void> {
  const latencies = new Times();
  const joins = new Times();
  let sent = 0;
  let received = 0;
  const both = await Promise.all(
    Array.from({ length: pairs }, (_, n) =>
      connectApart(hub, `pair/${encodeURIComponent(name)}/${n}?echo=false`),
    ),
  );
  for (const pair of both) {
    for (const { ws } of pair) {
      ws.on('message', (data: Buffer) => {
        received += 1;
        latencies.add(performance.now() - Number(data.toString()));
      });
    }
  }
  const timer = setInterval(() => {
    for (const pair of both) {
      for (const client of pair) {
        client.send(performance.now());
        sent += 1;
      }
    }
  }, 1_000 / perSecond);
  const until = performance.now() + measuredMs;
  for (let n = 0; performance.now() < until; n += 1) {
    const startedAt = performance.now();
    const client = await connect(hub, `new/${encodeURIComponent(name)}/${n}`);
    joins.add(performance.now() - startedAt);
    client.ws.close();
    await sleep(50);
  }
  clearInterval(timer);
  await sleep(settleMs);
  const { samples } = await scrape(hub);
  const dropped = (reason: string) => sum(samples, 'wshub_messages_dropped_total', `reason="${reason}"`);
  console.log(`${name}: ${sent - received} of ${sent} lost, ${latencies.take()}`);
  console.log(`  ${joins.size} joins of new channels: ${joins.take()}`);
  console.log(
    `  dropped: relay_backpressure ${dropped('relay_backpressure')}, slow ${dropped('slow_consumer')}`,
  );
  for (const pair of both) for (const client of pair) client.ws.terminate();
}

async function main(): Promise<void> {
  const hub = await startHub({ env: { WSHUB_LOG_LEVEL: 'info', WSHUB_BYTE_RATE: undefined } });
  await measure(hub, 'warming up');
  await measure(hub, 'undisturbed');
  for (const [senders, readersEach] of [
    [1, 1_000],
    [4, 200],
  ] as const) {
    const child = fork(import.meta.filename, [String(hub.port), String(senders), String(readersEach)]);
    await once(child, 'message');
    await sleep(settleMs);
    await measure(hub, `beside ${senders} with ${readersEach} readers`);
    child.kill();
    await once(child, 'exit');
    await sleep(settleMs);
  }
  hub.killAll();
  process.exit();
}

const [, , port, senders, readersEach] = process.argv;
await (port === undefined ? main() : beBusy(Number(port), Number(senders), Number(readersEach)));
