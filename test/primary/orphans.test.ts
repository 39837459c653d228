/** Workers whose primary was killed. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, eventually, startHub, temporaryFolder } from '../support.ts';

describe('a worker whose primary was killed', () => {
  it('ends, although a handler of it never returns', async (t) => {
    const folder = temporaryFolder(t);
    const [handlers, looping] = [join(folder, 'handlers.js'), join(folder, 'looping')];
    writeFileSync(
      handlers,
      `import { writeFileSync } from 'node:fs';
       export default { types: { loop() { writeFileSync(${JSON.stringify(looping)}, ''); for (;;); } } };`,
    );
    const hub = await startHub({ workers: 2, env: { WSHUB_HANDLERS: handlers } });
    t.after(() => {
      hub.killAll();
    });
    (await connect(hub, 'room')).send({ type: 'loop' });
    await eventually(() => (existsSync(looping) ? true : undefined), 'the handler');
    hub.signal('SIGKILL');
    assert.equal(await hub.ended(), 'SIGKILL');
  });
});
