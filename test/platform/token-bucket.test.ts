/** The bucket against a plain model of one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bucketShape, fullBucket, take } from '../../src/platform/token-bucket.ts';

const arrivals = fc.array(fc.record({ after: fc.nat(3_000), tokens: fc.integer({ min: 1, max: 5 }) }), {
  maxLength: 200,
});

describe('take', () => {
  it('equals a bucket that is filled token by token', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 5, max: 50 }),
        arrivals,
        (rate, burst, list) => {
          const shape = bucketShape(rate, burst);
          let bucket = fullBucket;
          let now = 1_000;
          let held = burst;
          for (const { after, tokens } of list) {
            now += after;
            held = Math.min(burst, held + (after * rate) / 1000);
            if (Math.abs(held - tokens) < 1e-4) continue; // both are right, by a rounding
            const next = take(bucket, shape, tokens, now);
            assert.equal(!Number.isNaN(next), held > tokens);
            if (Number.isNaN(next)) continue;
            bucket = next;
            held -= tokens;
          }
        },
      ),
    );
  });

  it('never accepts more than the burst plus the rate', () => {
    fc.assert(
      fc.property(arrivals, (list) => {
        const shape = bucketShape(10, 20);
        let bucket = fullBucket;
        let now = 0;
        let taken = 0;
        for (const { after, tokens } of list) {
          now += after;
          const next = take(bucket, shape, tokens, now);
          if (Number.isNaN(next)) continue;
          bucket = next;
          taken += tokens;
          assert.ok(taken <= 20 + (now * 10) / 1000 + 0.01);
        }
      }),
    );
  });

  it('has no limit if the rate is 0', () => {
    assert.equal(take(fullBucket, bucketShape(0, 1), 1e9, 5), 5);
  });
});
