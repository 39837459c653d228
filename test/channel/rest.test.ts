import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { endOfRest, restMs } from '../../src/channel/rest.ts';
import { processStart } from '../../src/clock.ts';

describe('a rest', () => {
  it('grows with the audience, up to the longest, and is left out where it is too short for a timer', () => {
    assert.equal(restMs(10, 5), 0);
    assert.equal(restMs(34, 5), 1);
    assert.equal(restMs(100, 5), 3);
    assert.equal(restMs(100_000, 5), 5);
    assert.equal(restMs(100_000, 0), 0);
  });

  it('ends at a multiple of its length on the clock that all workers share, and never later than its length', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 1_000 }),
        (now, rest) => {
          const end = endOfRest(now, rest);
          assert.ok(end > now - 1e-3 && end <= now + rest + 1e-3);
          const shared = (end + processStart * 1000) / rest;
          assert.ok(Math.abs(shared - Math.round(shared)) < 1e-3);
        },
      ),
    );
  });

  it('is over at once where it has no length, and where all rests were ended', () => {
    assert.equal(endOfRest(123.4, 0), 0);
    assert.equal(endOfRest(Infinity, 5), 0);
  });
});
