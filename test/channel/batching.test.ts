import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  windowEnd,
  memberOffsetMs,
  relayDueAt,
  batchingLimits,
  batchDelayMs,
} from '../../src/channel/batching.ts';
import { processStart } from '../../src/platform/clock.ts';

describe('a batching window', () => {
  it('grows with the audience up to the limit, and is 0 if it is too short for a timer', () => {
    const limits = batchingLimits(5, 2, 2);
    assert.equal(batchDelayMs(10, limits), 0);
    assert.equal(batchDelayMs(34, limits), 1);
    assert.equal(batchDelayMs(100, limits), 3);
    assert.equal(batchDelayMs(100_000, limits), 5);
    assert.equal(batchDelayMs(100_000, batchingLimits(0, 8, 2)), 0);
  });

  it('grows with the number of workers per CPU, and does not shrink if a worker has several CPUs', () => {
    assert.equal(batchDelayMs(100, batchingLimits(5, 8, 2)), 12);
    assert.equal(batchDelayMs(100_000, batchingLimits(5, 8, 2)), 20);
    assert.equal(batchDelayMs(100, batchingLimits(5, 2, 8)), 3);
  });

  it('ends at a multiple of its length on the shared clock, plus its lag, and within its length', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.boolean(),
        (now, rest, lags) => {
          const lag = lags ? memberOffsetMs(rest) : 0;
          const end = windowEnd(now, rest, lag);
          assert.ok(end > now - 1e-3 && end <= now + rest + 1e-3);
          const shared = (end - lag + processStart * 1000) / rest;
          assert.ok(Math.abs(shared - Math.round(shared)) < 1e-3);
        },
      ),
    );
  });

  it('delays publications to a sibling until its end, except the first one after a quiet time', () => {
    const start = windowEnd(1_000, 5) + 1;
    assert.equal(relayDueAt(start, -Infinity, 5), start, 'the first');
    const end = relayDueAt(start + 1, start, 5);
    assert.equal(Math.round(end - start), 4, 'what comes soon after it');
    assert.equal(relayDueAt(end - 1, end, 5), end, 'what comes while that waits');
    assert.equal(Math.round(relayDueAt(end + 1, end, 5) - end), 5, 'what comes soon after the rest');
    assert.equal(relayDueAt(end + 6, end, 5), end + 6, 'what comes when nothing has left for a while');
    assert.equal(relayDueAt(start + 1, start, 0), start + 1, 'where there is no rest');
  });

  it('ends at once if its length is 0, or if all windows were ended', () => {
    assert.equal(windowEnd(123.4, 0), 0);
    assert.equal(windowEnd(Infinity, 5), 0);
  });
});
