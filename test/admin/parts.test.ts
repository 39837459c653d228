/** A worker that cannot do its part of an admin action, or answers with something else: 500, at once and logged. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { codeOf, connectApart, hubFor, temporaryFolder } from '../support.ts';

describe('an admin action', () => {
  it('is answered with 500 if a worker fails its part or sends none, on either port', async (t) => {
    const file = join(temporaryFolder(t), 'breaking.mjs');
    // What is shown of a connection has the time since when it is open; the log writes times too.
    writeFileSync(
      file,
      `const { toISOString } = Date.prototype;
       const breaking = (broken) => function () {
         return new Error().stack.includes('connection-summary') ? broken() : toISOString.call(this);
       };
       export default { types: {
         fail: () => {
           Date.prototype.toISOString = breaking(() => { throw new Error('no such luck'); });
           return 'fails';
         },
         lie: () => {
           Date.prototype.toISOString = breaking(() => 7);
           return 'lies';
         },
       } };`,
    );
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: file } });
    const [one, other] = await connectApart(hub, 'room');
    const show = (port: number) => hub.admin('GET', `/connections/${one.connectionId}`, { port });
    assert.equal((await show(hub.opsPort)).status, 200);

    one.send({ type: 'fail' });
    assert.equal(await one.next(), 'fails');
    for (const port of [hub.opsPort, hub.port]) {
      const answer = await show(port);
      assert.deepEqual([answer.status, codeOf(answer)], [500, 'internal']);
    }
    const failed = { action: 'show_connection', worker: one.workerId };
    const line = await hub.logged('admin action failed', failed);
    assert.match(JSON.stringify(line['err']), /no such luck/);

    one.send({ type: 'lie' });
    assert.equal(await one.next(), 'lies');
    for (const port of [hub.opsPort, hub.port]) {
      const answer = await show(port);
      assert.deepEqual([answer.status, codeOf(answer)], [500, 'internal']);
    }
    for (const msg of ['HTTP request failed', 'admin action failed']) {
      const lied = await hub.logged(msg, { worker: 'primary' });
      assert.match(
        JSON.stringify(lied['err']),
        new RegExp(`worker ${one.workerId} answered .*show_connection`),
      );
    }

    const { status } = await hub.admin('GET', `/connections/${other.connectionId}`);
    assert.equal(status, 200, 'the other worker’s part is as good as before');
    assert.ok(!hub.log.some(({ msg }) => msg === 'a promise was rejected and nobody handled it'));
  });
});
