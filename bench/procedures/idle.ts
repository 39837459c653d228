// What a connection costs that does nothing: CPU to bring it onto its channel, user memory to keep it. The first
// few connections of each channel come before the first reading, so that what a server loads once does not count.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../metrics.ts';
import { cpuUs, pssBytes } from '../proc-stats.ts';
import { complaints, observe } from './observation.ts';
import { onStage, openAll, sizeOf, type Trial } from './trial.ts';

const membersBefore = 2;

export function idle(trial: Trial): Promise<Outcome> {
  return onStage(trial, async (stage) => {
    const { population } = trial.load;
    const counted = { ...population, members: population.members - membersBefore };
    await openAll(stage.fleet, { ...population, members: membersBefore });
    await sleep(trial.durations.settleMs);
    const memoryBefore = pssBytes(stage.serverPid);
    const cpuBefore = cpuUs(stage.serverPid);
    const startedMs = performance.now();
    await openAll(stage.fleet, counted);
    const openedMs = performance.now() - startedMs;
    const cpu = cpuUs(stage.serverPid) - cpuBefore;
    await sleep(trial.durations.settleMs);
    const memory = pssBytes(stage.serverPid) - memoryBefore;
    const end = await observe(stage);
    return {
      metrics: {
        connections: sizeOf(population),
        connectionsPerS: (sizeOf(counted) * 1e3) / openedMs,
        cpuPerConnectionUs: cpu / sizeOf(counted),
        memoryPerConnectionKb: memory / 1024 / sizeOf(counted),
      },
      notes: complaints(end, end, 0),
    };
  });
}
