/** Work in slices. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inSlices } from '../../src/platform/slices.ts';

/** Takes a millisecond. */
function spin(): void {
  for (const until = performance.now() + 1; performance.now() < until;);
}

describe('inSlices', () => {
  it('works in order, and yields to the event loop every few milliseconds', async () => {
    const items = Array.from({ length: 60 }, (_, index) => index);
    const done: number[] = [];
    /** processed items at each turn */
    const turns: number[] = [];
    let over = false;
    const look = () => {
      turns.push(done.length);
      if (!over) setImmediate(look);
    };
    setImmediate(look);
    await inSlices(items, (item) => {
      spin();
      done.push(item);
    });
    over = true;
    assert.deepEqual(done, items);
    const steps = turns.map((count, index) => count - (turns[index - 1] ?? 0));
    assert.ok(turns.length >= 19, `${turns.length} turns`);
    assert.ok(Math.max(...steps) <= 3, steps.join(' '));
  });

  it('rejects if the work throws', async () => {
    await assert.rejects(
      inSlices([1], () => {
        throw new Error('no');
      }),
      /no/,
    );
  });
});
