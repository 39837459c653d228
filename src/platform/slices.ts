/**
 * Work on all of something, however many they are: after a few milliseconds of it everything else has a turn of the event
 * loop. For closes, and for walks through all channels; the fan-out has slices of its own.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A close takes about 100 µs. */
const sliceMs = 3;

/**
 * Does the work on one item after the other, beginning in this turn; resolves when all is done.
 * @param items walked through while the work goes on: what an iterator over a Set or Map yields then is current
 */
export async function inSlices<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  let until = performance.now() + sliceMs;
  for (const item of items) {
    work(item);
    if (performance.now() < until) continue;
    await nextTurn();
    until = performance.now() + sliceMs;
  }
}
