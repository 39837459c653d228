// How much later a message reaches a subscriber on another worker than one on the publisher's own, unloaded.
import { Histogram } from '../histogram.ts';
import type { Outcome } from '../metrics.ts';
import { onStage, type Trial } from './trial.ts';

export function relay(trial: Trial): Promise<Outcome> {
  return onStage(trial, async ({ fleet }) => {
    const delays = await fleet.callOne('relay', trial.load.perSecond, trial.durations.measureMs);
    const sameWorkerMs = new Histogram(delays.same).quantileMs(0.5);
    const otherWorkerMs = new Histogram(delays.other).quantileMs(0.5);
    return {
      metrics: { sameWorkerMs, otherWorkerMs, differenceMs: otherWorkerMs - sameWorkerMs },
      notes: [],
    };
  });
}
