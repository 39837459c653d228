// All clients of a server come back at once, as after a loss of the network: with their positions, so that each gets
// what it has missed, or without. The CPU is that of the server until the last one has all of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../histogram.ts';
import type { Outcome } from '../metrics.ts';
import { cpuUs } from '../proc-stats.ts';
import { complaints, observe, total } from './observation.ts';
import { onStage, openAll, sizeOf, type Trial } from './trial.ts';

const pollMs = 20;
const deadlineMs = 60_000;

export function storm(trial: Trial): Promise<Outcome> {
  return onStage(trial, async (stage) => {
    const { population, missed = 0, resumes = false } = trial.load;
    const { fleet, serverPid } = stage;
    const clients = sizeOf(population);
    await openAll(fleet, population);
    await fleet.call('leaveAll', () => []);
    await fleet.call('publishEach', (part) => [population, { part, of: fleet.size }, missed]);
    await sleep(trial.durations.settleMs);
    const before = await observe(stage); // takes the delays so far
    const startedMs = performance.now();
    const expected = resumes ? clients * missed : 0;
    const returned = await fleet.call('comeBack', () => [resumes]);
    let end = await observe(stage);
    while (total(end, 'received') < expected && performance.now() - startedMs < deadlineMs) {
      await sleep(pollMs);
      end = await observe(stage);
    }
    const elapsedMs = performance.now() - startedMs;
    const cpu = cpuUs(serverPid) - before.serverCpuUs;
    const joins = new Histogram();
    for (const each of returned) joins.add(each.joins);
    return {
      metrics: {
        connections: clients,
        connectionsPerS: (clients * 1e3) / elapsedMs,
        recovered: returned.reduce((sum, { recovered }) => sum + recovered, 0),
        expected,
        arrived: total(end, 'received'),
        joinP50Ms: joins.quantileMs(0.5),
        joinP99Ms: joins.quantileMs(0.99),
        cpuPerConnectionUs: cpu / clients,
      },
      notes: complaints(end, end, expected),
    };
  });
}
