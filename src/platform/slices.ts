/**
 * Spreads work on many items over several turns of the event loop, so that it blocks only for a few ms at a time. For closes,
 * batches and iterations over all channels; the fan-out has its own slices.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A close takes about 100 µs. */
const sliceMs = 3;

/**
 * Processes one item after the other, beginning in this turn. Resolves when all are done.
 * @param items iterated lazily: an iterator over a Set or Map sees changes meanwhile
 * @param work if it returns a promise, the next item waits for it
 */
export async function inSlices<T>(items: Iterable<T>, work: (item: T) => unknown): Promise<void> {
  let until = performance.now() + sliceMs;
  for (const item of items) {
    const result = work(item);
    if (result instanceof Promise) await result;
    if (performance.now() < until) continue;
    await nextTurn();
    until = performance.now() + sliceMs;
  }
}
