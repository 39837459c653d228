import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { endOfRest, lagMs, leavesAt, restLimits, restMs } from '../../src/channel/batching.ts';
import { processStart } from '../../src/platform/clock.ts';

describe('a rest', () => {
  it('grows with the audience, up to the longest, and is left out where it is too short for a timer', () => {
    const limits = restLimits(5, 2, 2);
    assert.equal(restMs(10, limits), 0);
    assert.equal(restMs(34, limits), 1);
    assert.equal(restMs(100, limits), 3);
    assert.equal(restMs(100_000, limits), 5);
    assert.equal(restMs(100_000, restLimits(0, 8, 2)), 0);
  });

  it('grows with the workers that share a CPU, and does not shrink where they have several', () => {
    assert.equal(restMs(100, restLimits(5, 8, 2)), 12);
    assert.equal(restMs(100_000, restLimits(5, 8, 2)), 20);
    assert.equal(restMs(100, restLimits(5, 2, 8)), 3);
  });

  it('ends at a multiple of its length on the clock that all workers share, or by its lag later, and within its length', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.boolean(),
        (now, rest, lags) => {
          const lag = lags ? lagMs(rest) : 0;
          const end = endOfRest(now, rest, lag);
          assert.ok(end > now - 1e-3 && end <= now + rest + 1e-3);
          const shared = (end - lag + processStart * 1000) / rest;
          assert.ok(Math.abs(shared - Math.round(shared)) < 1e-3);
        },
      ),
    );
  });

  it('lets that leave for a sibling at once which comes after a quiet time, and nothing else before it ends', () => {
    const start = endOfRest(1_000, 5) + 1;
    assert.equal(leavesAt(start, -Infinity, 5), start, 'the first');
    const end = leavesAt(start + 1, start, 5);
    assert.equal(Math.round(end - start), 4, 'what comes soon after it');
    assert.equal(leavesAt(end - 1, end, 5), end, 'what comes while that waits');
    assert.equal(Math.round(leavesAt(end + 1, end, 5) - end), 5, 'what comes soon after the rest');
    assert.equal(leavesAt(end + 6, end, 5), end + 6, 'what comes when nothing has left for a while');
    assert.equal(leavesAt(start + 1, start, 0), start + 1, 'where there is no rest');
  });

  it('is over at once where it has no length, and where all rests were ended', () => {
    assert.equal(endOfRest(123.4, 0), 0);
    assert.equal(endOfRest(Infinity, 5), 0);
  });
});
