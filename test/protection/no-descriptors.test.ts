/** A primary that has run out of descriptors: it cannot start a process, and must not end because of that. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { connectApart, connectWhere, eventually, hubFor } from '../support.ts';

describe('a primary without descriptors', () => {
  it('cannot replace a worker that dies, serves on with the others, and replaces it once it can', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const [one, other] = await connectApart(hub, 'room');
    const limit = (descriptors: number) => {
      execFileSync('prlimit', ['--pid', String(hub.pid), `--nofile=${descriptors}:20000`]);
    };
    // Fewer than are open: what the dead worker's channel leaves does not suffice for a new one.
    limit(readdirSync(`/proc/${hub.pid}/fd`).length - 4);
    process.kill(hub.pidOf(other.workerId), 'SIGKILL');
    await hub.logged('worker could not be started or told');
    one.send('on my own');
    assert.equal(await one.next(), 'on my own');
    limit(10_000);
    await eventually(
      () => (hub.log.filter(({ msg }) => msg === 'worker ready').length === 3 ? true : undefined),
      'a successor',
    );
    const again = await connectWhere(hub, 'room', (id) => id !== one.workerId);
    one.send('with you');
    assert.equal(await again.next(), 'with you');
    await Promise.all([one.close(), again.close()]);
    await assertNoGrowth(hub, held);
  });
});
