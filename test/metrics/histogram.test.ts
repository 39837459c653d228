import assert from 'node:assert/strict';
import { test } from 'node:test';
import { now } from '../../src/platform/clock.ts';
import { Histogram } from '../../src/metrics/histogram.ts';

test('a value falls into the first bucket whose bound it does not pass', () => {
  const histogram = new Histogram([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1, 1e9]) histogram.observe(value);
  assert.deepEqual([...histogram.counts], [2, 2, 1, 2]);
  assert.equal(histogram.sum, 0 + 1 + 1.5 + 2 + 5 + 5.1 + 1e9);
});

test('a value that is not a number falls into the last bucket and does not hang', () => {
  const histogram = new Histogram([1]);
  histogram.observe(Number.NaN);
  histogram.observe(Infinity);
  assert.equal(
    [...histogram.counts].reduce((a, b) => a + b),
    2,
  );
});

test('the clock is the monotonic clock of the machine, in seconds', () => {
  const before = Number(process.hrtime.bigint()) / 1e9;
  const time = now();
  const after = Number(process.hrtime.bigint()) / 1e9;
  assert.ok(time >= before - 1e-3 && time <= after + 1e-3, `${before} ${time} ${after}`);
});
