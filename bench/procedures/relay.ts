// How much later a message reaches a subscriber on another worker than one on the publisher's own, unloaded.
import { Histogram } from '../histogram.ts';
import type { Outcome } from '../metrics.ts';
import { onStage, type Trial } from './trial.ts';

export function relay(trial: Trial): Promise<Outcome> {
  return onStage(trial, async ({ fleet }) => {
    const delays = await fleet.callOne('relay', trial.load.perSecond, trial.durations.measureMs);
    const [sameWorkerMs, otherWorkerMs] = [medianMs(delays.same), medianMs(delays.other)];
    return {
      metrics: { sameWorkerMs, otherWorkerMs, differenceMs: otherWorkerMs - sameWorkerMs },
      notes: [],
    };
  });
}

function medianMs(delays: string): number {
  const histogram = new Histogram();
  histogram.add(delays);
  return histogram.quantileMs(0.5);
}
