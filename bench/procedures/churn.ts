// Connections that come, join a channel of their own, and leave at once, at a steady pace. The delays are the time
// from connect to joined.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../metrics.ts';
import { complaints, coresBetween, merged, observe, rateBetween, total } from './observation.ts';
import { drained } from './steady.ts';
import { onStage, type Trial } from './trial.ts';

export function churn(trial: Trial): Promise<Outcome> {
  return onStage(trial, async (stage) => {
    const { load, durations } = trial;
    const { fleet } = stage;
    await fleet.call('startChurn', (part) => [part, load.perSecond / fleet.size]);
    await sleep(durations.warmMs);
    const from = await observe(stage);
    await sleep(durations.measureMs);
    const to = await observe(stage);
    await fleet.call('stopSending', () => []);
    const end = await drained(stage, 1, durations.drainMs);
    const last = end.at(-1) ?? to;
    const delays = merged([to, ...end], 'delays');
    const joined = total(to, 'received') - total(from, 'received');
    return {
      metrics: {
        connectionsPerS: rateBetween(from, to, 'received'),
        expected: total(last, 'sent'),
        arrived: total(last, 'received'),
        p50Ms: delays.quantileMs(0.5),
        p99Ms: delays.quantileMs(0.99),
        cpuPerConnectionUs: (to.serverCpuUs - from.serverCpuUs) / joined,
        ...coresBetween(from, to),
      },
      notes: complaints(to, last, total(last, 'sent')),
    };
  });
}
