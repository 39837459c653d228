/** The delays between attempts: they double up to a bound, and jitter takes off up to half. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffMs, jittered } from '../../src/platform/backoff.ts';

describe('backoffMs', () => {
  it('doubles with each failure, up to the bound', () => {
    const delays = [0, 1, 2, 3, 4, 5_000].map((failures) => backoffMs(failures, { firstMs: 20, maxMs: 100 }));
    assert.deepEqual(delays, [20, 40, 80, 100, 100, 100]);
  });
});

describe('jittered', () => {
  it('gives at least half of the delay and at most all of it', () => {
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (delay, random) => {
          const ms = jittered(delay, () => random);
          assert.ok(ms >= delay / 2 && ms <= delay);
        },
      ),
    );
  });
});
