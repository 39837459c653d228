/** Processes that run out of descriptors: a primary cannot start another one, a worker cannot take more clients. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { counted } from '../observability/exposition.ts';
import { connect, connectApart, connectWhere, eventually, hubFor, openSocket } from '../support.ts';

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

describe('a worker with few descriptors', () => {
  it('drops who comes before it has none left, counts them, and serves those who are in', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: watched });
    // A worker asks for its limit when it starts, so this is one of the next generation.
    execFileSync('prlimit', ['--pid', String(hub.pid), '--nofile=200:200']);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    const held = await holdings(hub);
    const inside = await connect(hub, 'room');
    const silent = await Promise.all(Array.from({ length: 200 }, () => openSocket(hub.port)));
    await Promise.race(silent.map(({ answer }) => answer));
    inside.send('served');
    assert.equal(await inside.next(), 'served');
    await counted(hub, 'wshub_connections_rejected_total', 'reason="max_connections"');
    for (const { socket } of silent) socket.destroy();
    const late = await eventually(() => connect(hub, 'room').catch(() => undefined), 'a place for one more');
    await Promise.all([inside.close(), late.close()]);
    assert.equal(
      hub.log.find(({ msg }) => msg === 'worker died'),
      undefined,
    );
    await assertNoGrowth(hub, held);
  });
});
