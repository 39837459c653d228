/** The line with the number of connections. Dry: the minutes are node:test's. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { logTotals } from '../../src/primary/connection-log.ts';

it('the number of connections is logged once a minute, if it changed', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const lines: unknown[] = [];
  let connections = 0;
  logTotals(() => connections, { info: (...line: unknown[]) => void lines.push(line) });
  const minute = (count: number) => {
    connections = count;
    t.mock.timers.tick(59_999);
    const before = lines.length;
    t.mock.timers.tick(1);
    return lines.slice(before);
  };
  const line = (count: number) => [{ connections: count }, 'active connections'];
  assert.deepEqual(minute(0), []);
  assert.deepEqual(minute(7), [line(7)]);
  assert.deepEqual(minute(7), []);
  assert.deepEqual(minute(8), [line(8)]);
  assert.deepEqual(minute(0), [line(0)]);
  assert.deepEqual(minute(0), []);
  assert.equal(lines.length, 3, 'nothing between the minutes');
});
