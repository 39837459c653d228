/** Refilled slots: their port, and the delays before them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectApart, eventually, hubFor, request, type HubProcess } from '../support.ts';

function kill(hub: HubProcess, ...workerIds: string[]): string[] {
  for (const workerId of workerIds) process.kill(hub.pidOf(workerId), 'SIGKILL');
  return workerIds;
}

/** Kills workers: successors take their slots, and all serve clients on the hub's port. */
async function assertReplaced(hub: HubProcess, killed: readonly string[]): Promise<void> {
  for (const workerId of killed) await hub.logged('worker died', { workerId });
  await eventually(
    async () => ((await request(hub.opsPort, 'GET', '/readyz')).status === 200 ? true : undefined),
    'all workers',
  );
  const [one, other] = await connectApart(hub, 'again');
  for (const { workerId } of [one, other]) assert.ok(!killed.includes(workerId));
  one.send('hello');
  assert.equal(await other.next(), 'hello');
}

describe('a hub with port 0', () => {
  it('comes back on the port that it has announced when all workers died at once', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_DRAIN_SPREAD_MS: '100' } });
    await assertReplaced(hub, kill(hub, 'w1', 'w2'));
    // From then on workers ask for the port by its number: one that dies alone, and a new generation.
    const [next] = hub.workers;
    await assertReplaced(hub, kill(hub, next?.workerId ?? ''));
    const replaced = hub.workers.map(({ workerId }) => workerId);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    const reloaded = await connectApart(hub, 'reloaded');
    for (const { workerId } of reloaded) assert.ok(!replaced.includes(workerId));
  });

  it('does so when the last worker dies while another, told to take any port, starts', async (t) => {
    const hub = await hubFor(t);
    kill(hub, 'w2');
    await hub.logged('worker forked', { workerId: 'w3' });
    await assertReplaced(hub, kill(hub, 'w1'));
  });
});

describe('a worker that dies again and again', () => {
  it('comes back after 100 ms, then after twice that each time, while the other is not held up', async (t) => {
    const hub = await hubFor(t);
    const pauses: unknown[] = [];
    for (const workerId of ['w2', 'w3', 'w4', 'w5']) {
      await hub.logged('worker ready', { workerId });
      kill(hub, workerId);
      const died = await hub.logged('worker died', { workerId });
      assert.deepEqual([died['slot'], died['failedStarts']], [1, 0]);
      assert.match(String(died['advice']), /killed by another process/);
      pauses.push(died['restartInMs']);
    }
    assert.deepEqual(pauses, [100, 200, 400, 800]);
    kill(hub, 'w1');
    assert.equal((await hub.logged('worker died', { workerId: 'w1' }))['restartInMs'], 100);
  });
});
