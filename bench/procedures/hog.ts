// What channels with more than a worker can write cost the others: a steady flow and joins of new channels, beside them
// or, where the load has none, undisturbed.
import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../fleet.ts';
import { startHogs } from '../hogs.ts';
import type { Outcome } from '../metrics.ts';
import { Histogram } from '../histogram.ts';
import { measureSteady } from './steady.ts';
import { onStage, type Durations, type Trial } from './trial.ts';

const joinsPerSecond = 20;

export function hog(trial: Trial): Promise<Outcome> {
  return onStage(trial, async (stage) => {
    const { load, server, durations } = trial;
    const joiners = new Fleet(stage.port, server.protocol, 0);
    const endHogs = load.hogs && (await startHogs(stage.port, load.hogs));
    try {
      const [outcome, joins] = await Promise.all([
        measureSteady(stage, trial),
        measureJoins(joiners, durations),
      ]);
      const joined = { joinP50Ms: joins.quantileMs(0.5), joinP99Ms: joins.quantileMs(0.99) };
      return { ...outcome, metrics: { ...outcome.metrics, ...joined } };
    } finally {
      joiners.stop();
      await endHogs?.();
    }
  });
}

/** Times from connect to joined, of channels that are new. */
async function measureJoins(joiners: Fleet, { warmMs, measureMs }: Durations): Promise<Histogram> {
  await joiners.call('startChurn', (part) => [part, joinsPerSecond / joiners.size]);
  await sleep(warmMs);
  await joiners.call('snapshot', () => []);
  await sleep(measureMs);
  const parts = await joiners.call('snapshot', () => []);
  const histogram = new Histogram();
  for (const { delays } of parts) histogram.add(delays);
  return histogram;
}
