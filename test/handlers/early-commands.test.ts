/** Commands that reach a worker before it is linked to all siblings: what they publish must reach everyone. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { connect, connectApart, connectWhere, hubFor, temporaryFolder } from '../support.ts';

it('a broadcast command waits in a new worker for its link to a sibling that is slow', async (t) => {
  const file = join(temporaryFolder(t), 'handlers.js');
  writeFileSync(
    file,
    `export default {
       types: { all: (message, { hub }) => void hub.broadcastCommand('greet', null) },
       broadcastCommands: { greet: (_, { hub }) => hub.publish('news', hub.workerId) },
     };`,
  );
  const hub = await hubFor(t, { workers: 3, env: { WSHUB_HANDLERS: file } });
  const [caller, slow] = await connectApart(hub, 'news');
  const known = [caller.workerId, slow.workerId];
  const third = await connectWhere(hub, 'other', (workerId) => !known.includes(workerId));
  process.kill(hub.pidOf(slow.workerId), 'SIGSTOP');
  process.kill(hub.pidOf(third.workerId), 'SIGKILL');
  await hub.logged('link open', { worker: caller.workerId, sibling: 'w4' });
  caller.send({ type: 'all' });
  assert.equal(await caller.next(), caller.workerId);
  process.kill(hub.pidOf(slow.workerId), 'SIGCONT');
  const greeted = ((await slow.take(3)) as string[]).toSorted();
  assert.deepEqual(greeted, [...known, 'w4'].toSorted());
  await (await connect(hub, 'news')).close();
});
