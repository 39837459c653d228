import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FlushScheduler } from '../../src/platform/flush-scheduler.ts';

/** A scheduler whose flushes return these delays, one after the other; resolves after the last one. */
function turnOf(waits: number[]): { turn: FlushScheduler; done: Promise<undefined>; flushes: () => number } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let flushes = 0;
  const turn = new FlushScheduler(() => {
    const wait = waits[flushes] ?? Infinity;
    flushes += 1;
    if (flushes === waits.length) resolve(undefined);
    return wait;
  });
  return { turn, done: promise, flushes: () => flushes };
}

describe('FlushScheduler', () => {
  it('flushes once, after the events of the turn, for any number of requests', async () => {
    const { turn, done, flushes } = turnOf([Infinity]);
    turn.request();
    turn.request();
    assert.equal(flushes(), 0);
    await done;
    assert.equal(flushes(), 1);
  });

  it('flushes again in the next turn if work is left, after its events', async () => {
    const { turn, done, flushes } = turnOf([0, 0, Infinity]);
    turn.request();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(flushes(), 1);
    await done;
    assert.equal(flushes(), 3);
  });

  it('flushes once per turn, also if a delay has ended in the meantime', async () => {
    const { turn, flushes } = turnOf([1, ...Array.from({ length: 200 }, () => 0), Infinity]);
    turn.request();
    await new Promise((resolve) => setImmediate(resolve));
    turn.request();
    for (let turns = 1; turns <= 50; turns += 1) {
      for (const until = performance.now() + 0.2; performance.now() < until;);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(flushes(), turns + 1);
    }
  });

  it('flushes again at the end of a delay', async () => {
    const { turn, done } = turnOf([1, 1, Infinity]);
    turn.request();
    await done;
  });

  it('is not delayed by a longer delay when a shorter one is requested', async () => {
    const { turn, done, flushes } = turnOf([3_600_000, 1, Infinity]);
    turn.request();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.equal(flushes(), 1);
    turn.request();
    await done;
  });
});
