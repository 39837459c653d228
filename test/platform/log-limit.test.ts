/** Limits for lines that clients can cause repeatedly. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { boundedLine, LogLimit } from '../../src/platform/log-limit.ts';
import { connect, eventually, hubFor, temporaryFolder } from '../support.ts';

describe('LogLimit', () => {
  it('admits the first 10 lines of a kind, then one a second, and counts the others', () => {
    const limit = new LogLimit();
    const admitted = (fields: object, times: number, now: number) =>
      Array.from({ length: times }, () => limit.admit(fields, 'failed', 50, now)).filter(Boolean).length;
    assert.equal(admitted({ handler: 'a', connectionId: '1' }, 30, 0), 10);
    assert.equal(admitted({ handler: 'a', connectionId: '2' }, 30, 1_000), 1, 'whichever client it is');
    assert.equal(admitted({ handler: 'b' }, 5, 1_000), 5, 'another kind');
    assert.deepEqual(
      limit.takeSuppressed(1_000).map(({ fields, lines }) => ({ ...fields, lines })),
      [{ handler: 'a', lines: 20 + 29 }],
    );
    assert.deepEqual(limit.takeSuppressed(1_000), []);
    assert.equal(admitted({ handler: 'a' }, 30, 100_000), 10);
  });
});

describe('boundedLine', () => {
  it('shortens the texts of a line that is too long, and keeps it JSON', () => {
    const long = 'x'.repeat(100_000);
    const err = { type: 'TypeError', message: long, stack: long, sent: { long } };
    const line = boundedLine(
      `${JSON.stringify({ level: 'error', pid: 1, path: long, msg: 'failed', err })}\n`,
    );
    assert.ok(line.length < 16 * 1024, `${line.length} characters`);
    const { msg, level, shortened } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual({ msg, level, shortened }, { msg: 'failed', level: 'error', shortened: true });
    assert.equal(boundedLine('{"a":1}\n'), '{"a":1}\n');
  });
});

describe('a handler that fails with every message', () => {
  it('is logged a few times with its stack, then counted', async (t) => {
    const handlers = join(temporaryFolder(t), 'handlers.js');
    writeFileSync(
      handlers,
      `export default { types: { fail(m) { throw new Error('failed: ' + m.text); } } };`,
    );
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: handlers } });
    const client = await connect(hub, 'room');
    const sent = 500;
    client.send({ type: 'fail', text: 'x'.repeat(60_000) });
    for (let i = 1; i < sent; i += 1) client.send({ type: 'fail' });
    await client.take(sent);
    const [lines, suppressed] = await eventually(() => {
      const single = hub.log.filter(({ msg }) => msg === 'handler failed');
      const summaries = hub.log.filter(({ msg }) => msg === 'more lines: handler failed');
      const total = summaries.reduce((sum, line) => sum + Number(line['suppressed']), 0);
      return single.length + total === sent ? [single, total] : undefined;
    }, 'every failure, logged or counted');
    assert.ok(suppressed > 0);
    assert.match(JSON.stringify(lines[1]), /failed: undefined.*handlers\.js/);
    assert.ok(JSON.stringify(lines[0]).length < 16 * 1024);
  });
});
