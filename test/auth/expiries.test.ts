/** Who is due when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Expiries } from '../../src/auth/expiries.ts';

describe('Expiries', () => {
  it('gives each item once, not before its time and at the next look after it, however the clock jumps', () => {
    const step = fc.oneof(
      fc.record({ add: fc.double({ min: 0, max: 50, noNaN: true }) }),
      fc.record({ remove: fc.nat() }),
      fc.record({ now: fc.double({ min: 0, max: 60, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const expiries = new Expiries<number>();
        const expected = new Map<number, number>();
        let id = 0;
        for (const item of steps) {
          if ('add' in item) {
            expected.set(++id, item.add);
            expiries.add(id, item.add);
          } else if ('remove' in item) {
            const [entry] = [...expected].slice(item.remove % (expected.size || 1));
            if (!entry) continue;
            expiries.delete(...entry);
            expected.delete(entry[0]);
          } else {
            const due = [...expected].filter(([, at]) => Math.ceil(at) <= item.now).map(([key]) => key);
            for (const key of due) expected.delete(key);
            assert.deepEqual(
              expiries.due(item.now).sort((a, b) => a - b),
              due,
            );
          }
        }
      }),
    );
  });

  it('does not keep what never ends', () => {
    const expiries = new Expiries<string>();
    expiries.add('always', Infinity);
    assert.deepEqual(expiries.due(Number.MAX_VALUE), []);
  });
});
