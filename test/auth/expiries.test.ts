/** Items become due at their time, once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Expiries } from '../../src/auth/expiries.ts';

describe('Expiries', () => {
  it('returns each item once, at the first look after its time, for any jumps of the clock', () => {
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
              [...expiries.due(item.now)].sort((a, b) => a - b),
              due,
            );
          }
        }
      }),
    );
  });

  it('does not keep items without an end', () => {
    const expiries = new Expiries<string>();
    expiries.add('always', Infinity);
    assert.deepEqual([...expiries.due(Number.MAX_VALUE)], []);
  });

  it('returns any number of items of one second, also while items change', () => {
    const count = 150_000;
    const expiries = new Expiries<number>();
    for (let item = 0; item < count; item += 1) expiries.add(item, 7);
    const given: number[] = [];
    for (const item of expiries.due(8)) {
      given.push(item);
      if (item === 0) expiries.delete(1, 7);
      if (item === 2) expiries.add(count, 7); // it ends in the past
      if (item === 3) expiries.add(count + 1, 9);
    }
    assert.equal(given.length, count);
    assert.equal(given.at(-1), count);
    assert.ok(!given.includes(1));
    assert.deepEqual([...expiries.due(8)], []);
    assert.deepEqual([...expiries.due(9)], [count + 1]);
  });
});
