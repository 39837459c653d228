/** Processes that run out of descriptors: a primary cannot start another one, a worker cannot take more clients. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { counted, scrape } from '../metrics/exposition.ts';
import { connect, connectApart, connectWhere, eventually, hubFor, openSocket } from '../support.ts';

describe('a primary without descriptors', () => {
  it('cannot replace a worker that dies, continues with the others, and replaces it when it can again', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const [one, other] = await connectApart(hub, 'room');
    const limit = (descriptors: number) => {
      execFileSync('prlimit', ['--pid', String(hub.pid), `--nofile=${descriptors}:20000`]);
    };
    // Below the number of open ones: those of the dead worker do not suffice for a new one.
    limit(readdirSync(`/proc/${hub.pid}/fd`).length - 4);
    process.kill(hub.pidOf(other.workerId), 'SIGKILL');
    await hub.logged('worker could not be started or messaged');
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
  it('drops and counts new clients before its descriptors run out, and serves the connected ones', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: watched });
    // A worker reads its limit at its start, so this one is of the next generation.
    execFileSync('prlimit', ['--pid', String(hub.pid), '--nofile=200:200']);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    const held = await holdings(hub);
    const inside = await connect(hub, 'room');
    const silent = await Promise.all(Array.from({ length: 200 }, () => openSocket(hub.port)));
    await Promise.race(silent.map(({ answer }) => answer));
    inside.send('served');
    assert.equal(await inside.next(), 'served');
    await counted(hub, 'wshub_connections_rejected_total', 'reason="overloaded"');
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

describe('a worker without descriptors', () => {
  it('serves its clients, answers the primary, and accepts new clients when it can again', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: watched });
    const held = await holdings(hub);
    const [worker] = hub.workers;
    assert.ok(worker);
    const [one, two] = [await connect(hub, 'room'), await connect(hub, 'room')];
    const limit = (descriptors: number) => {
      execFileSync('prlimit', ['--pid', String(worker.pid), `--nofile=${descriptors}:20000`]);
    };
    limit(limitThatLeaves(3, worker.pid));
    const attempts = await Promise.all(
      Array.from({ length: 20 }, () => connect(hub, 'room').catch(() => undefined)),
    );
    assert.ok(attempts.includes(undefined), 'a client that found no descriptor');
    one.send('through it');
    assert.equal(await two.next(), 'through it');
    const { body } = await hub.admin('GET', '/state');
    const [state] = (body as { workers: { residentBytes: number }[] }).workers;
    assert.ok(state && state.residentBytes > 0);
    const { samples } = await scrape(hub);
    assert.ok(samples.get('process_open_fds{worker="0"}'));
    assert.ok(samples.get('process_resident_memory_bytes{worker="0"}'));
    await sleep(2_500); // the primary asks every second how it is
    assert.equal(
      hub.log.find(({ msg }) => msg === 'worker died'),
      undefined,
    );
    limit(10_000);
    for (const attempt of attempts) attempt?.ws.terminate();
    const late = await eventually(() => connect(hub, 'room').catch(() => undefined), 'a new connection');
    late.send('afterwards');
    assert.equal(await late.next(), 'afterwards');
    for (const client of [one, two, late]) client.ws.terminate();
    await assertNoGrowth(hub, held);
  });
});

/** Returns a limit of open files with which a process can open `more` further ones, given the gaps in its numbers. */
function limitThatLeaves(free: number, pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let limit = 0;
  for (let left = free; left > 0; limit += 1) if (!taken.has(limit)) left -= 1;
  return limit;
}
