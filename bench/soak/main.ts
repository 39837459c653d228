/**
 * A soak: `npm run soak -- --minutes 20` (fractions allowed). Writers and readers that stay, clients that come and go,
 * readers that stand still where most is said, and a worker that is killed now and then. It prints memory and
 * descriptors at 10, 50 and 100 % of the time, and at the end what was sent and what came of it. Then it measures what
 * channels with more than a worker can write cost the others. It exits with 1 if anything was lost, doubled or out of
 * order, or if one of the troubles did not happen.
 */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { growing, scrape, sum } from '../../test/metrics/exposition.ts';
import { residentBytes, startHub, type HubProcess } from '../../test/support.ts';
import { stopAllAtExit } from '../processes.ts';
import { line, noticed, phases } from './bystanders.ts';
import { churn, faults, latency, Reader, stall, totals, Writer, type Room, type Stage } from './actors.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '20' } } });
const durationMs = Number(values.minutes) * 60_000;
if (!(durationMs > 0)) throw new Error('--minutes must be a number above 0');

const readersPerRoom = 4;
const rooms: Room[] = Array.from({ length: 10 }, (_, n) => ({
  name: `room-${n}`,
  messageEveryMs: 20,
  bytes: 0,
}));
/** 1.6 MB/s: what does not read is over its limits as soon as the kernel's buffers are full */
const loudRoom: Room = { name: 'loud', messageEveryMs: 10, bytes: 16 * 1024 };
const stalledReaders = 10;
/** rarely enough for each worker to count as healthy again in between, or it would be restarted ever later */
const killEveryMs = Math.max(20_000, durationMs / 20);
/** All have so long to come back, and then the last messages to come. */
const patienceMs = 60_000;
/** of each phase with bystanders */
const bystandersMs = Math.min(15_000, durationMs / 10);

const stage: Stage = { now: 'load' };
let kills = 0;
/** readers that could not come back in the end */
let absent = 0;
/** counters that were less than before */
const fallen = new Set<string>();

/** Kills each worker in turn, never when memory is measured. */
async function kill(hub: HubProcess): Promise<void> {
  for (let i = 0; ; i += 1) {
    await sleep(i === 0 ? killEveryMs / 2 : killEveryMs);
    const worker = hub.workers[i % hub.workers.length];
    if (stage.now !== 'load' || !worker) return;
    process.kill(worker.pid, 'SIGKILL');
    kills += 1;
  }
}

/** Scrapes all the time: what a killed worker had counted is kept as it was last seen, and no counter may fall. */
async function watchCounters(hub: HubProcess): Promise<void> {
  let last = new Map<string, number>();
  while (stage.now === 'load') {
    await sleep(1_000);
    const { samples } = await scrape(hub);
    const counters = growing(samples);
    for (const [series, value] of last) if ((counters.get(series) ?? 0) < value - 1e-9) fallen.add(series);
    last = counters;
  }
}

function measure(hub: HubProcess): string {
  const processes = [{ name: 'primary', pid: hub.pid }].concat(
    hub.workers.map(({ workerId, pid }) => ({ name: workerId, pid })),
  );
  const parts = processes.map(({ name, pid }) => {
    try {
      const memory = (residentBytes(pid) / 1024 / 1024).toFixed(0);
      return `${name} ${memory} MiB ${readdirSync(`/proc/${pid}/fd`).length} descriptors`;
    } catch {
      return `${name} is being replaced`;
    }
  });
  return parts.join(', ');
}

/** Lets all come back, then has every writer send its last message; counts what a reader has not got. */
async function finish(readers: readonly Reader[]): Promise<void> {
  const all = async (what: (reader: Reader) => boolean) => {
    const deadline = performance.now() + patienceMs;
    while (!readers.every(what) && performance.now() < deadline) await sleep(100);
    return readers.filter((reader) => !what(reader)).length;
  };
  stage.now = 'calm';
  absent = await all(({ here }) => here);
  stage.now = 'last';
  await all(({ complete, here }) => complete || !here);
  for (const reader of readers) if (reader.here) reader.countMissing();
}

stopAllAtExit();
const hub = await startHub();
const started = performance.now();
const writers = [...rooms, loudRoom].map((room) => new Writer(room));
const readers = writers.flatMap((writer) => Array.from({ length: readersPerRoom }, () => new Reader(writer)));
const jobs = [
  ...[...writers, ...readers].map((actor) => actor.run(hub, stage)),
  ...Array.from({ length: stalledReaders }, () => stall(hub, loudRoom, stage)),
  churn(hub, stage),
  watchCounters(hub),
];
void kill(hub);

for (const share of [0.1, 0.5, 1]) {
  await sleep(Math.max(0, durationMs * share - (performance.now() - started)));
  process.stdout.write(`${share * 100} %: ${measure(hub)}\n`);
}
await finish(readers);
const { samples } = await scrape(hub);
const slow = sum(samples, 'wshub_connections_closed_total', 'reason="slow_consumer"');
stage.now = 'over';
await Promise.all(jobs);
process.stdout.write(
  `messages: ${totals.sent} sent, ${totals.delivered} delivered, ${totals.lost} lost, ${totals.doubled} doubled, ` +
    `${totals.outOfOrder} out of order\n` +
    `latency at the readers: ${latency.quantileMs(0.5).toFixed(1)} ms median, ${latency.quantileMs(0.99).toFixed(1)} ms p99\n` +
    `troubles: ${kills} kills, ${totals.reconnects} readers came back, ${absent} did not, ${slow} stalled readers closed, ` +
    `${totals.churned} short clients\n` +
    `counters that fell: ${[...fallen].join(', ') || 'none'}\n`,
);
for (const fault of faults) process.stdout.write(`${fault}\n`);
let lostByBystanders = 0;
for (const { name, hogs } of phases) {
  const result = await noticed(hub, hogs, bystandersMs);
  process.stdout.write(`${line(name, result)}\n`);
  lostByBystanders += result.lost;
}
const wrong = absent + lostByBystanders + totals.lost + totals.doubled + totals.outOfOrder + fallen.size;
const missing = [totals.delivered, kills, slow, totals.churned].filter((count) => count === 0).length;
if (missing > 0) process.stdout.write('something did not happen: this was too short for a soak\n');
await hub.end().catch((error: unknown) => {
  process.stdout.write(`the end: ${String(error)}\n`);
  process.exitCode = 1;
});
process.exit(wrong + missing > 0 ? 1 : undefined);
