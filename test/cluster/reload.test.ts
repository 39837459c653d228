/** Reload: a new generation of workers takes the place of the old one, under load and with everything that fails. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Actions } from '../../src/control/actions.ts';
import { connect, eventually, hubFor, temporaryFolder, type HubProcess } from '../support.ts';
import { Fleet } from './fleet.ts';

async function stateOf(hub: HubProcess): Promise<Actions['state']['answer']> {
  const { status, body } = await hub.admin('GET', '/state?limit=1');
  assert.equal(status, 200);
  return body as Actions['state']['answer'];
}

/** Resolves when the hub has logged this message so many times. */
async function loggedTimes(hub: HubProcess, msg: string, times: number): Promise<void> {
  await eventually(
    () => (hub.log.filter((line) => line.msg === msg).length >= times ? true : undefined),
    `"${msg}" ${times} times`,
  );
}

describe('a reload under load', () => {
  it('moves 2 000 clients evenly, refuses none of them and loses no message', async (t) => {
    const spreadMs = 10_000;
    const hub = await hubFor(t, {
      env: { WSHUB_DRAIN_SPREAD_MS: String(spreadMs), WSHUB_LOG_LEVEL: 'info', WSHUB_STOP_SPREAD_MS: '0' },
    });
    const fleet = new Fleet(hub.port);
    t.after(() => {
      fleet.end();
    });
    await fleet.open({ idle: 1_960, subscribers: 30, publishers: 10 });
    const before = hub.workers.map(({ workerId }) => workerId);
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    const startedAt = performance.now();
    await hub.logged('reload done');
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < spreadMs + 10_000, `it took ${tookMs} ms`);

    await eventually(() => (fleet.connected === 2_000 ? true : undefined), 'everyone to be back');
    await fleet.settle();
    assert.deepEqual(fleet.refused, []);
    assert.deepEqual(fleet.gaps(), []);
    assert.ok(fleet.messages > 1_000, `${fleet.messages} messages came`);
    assert.deepEqual([...new Set(fleet.closes.map(({ code }) => code))], [1012]);
    assert.equal(fleet.closes.length, 2_000);

    for (const workerId of before) {
      const line = await hub.logged('worker drained', { worker: workerId });
      const { closed, forced, largestSlice } = line as unknown as Record<string, number>;
      assert.equal(forced, 0);
      const mean = ((closed ?? 0) * 100) / spreadMs;
      assert.ok((largestSlice ?? 0) <= 2 * mean, `a slice of ${largestSlice}, the mean is ${mean}`);
    }

    const { workers } = await stateOf(hub);
    assert.deepEqual(
      workers.map(({ workerId }) => before.includes(workerId)),
      [false, false],
    );
    const counts = workers.map(({ connections }) => connections);
    assert.ok(
      Math.max(...counts) <= 1.1 * Math.min(...counts),
      `connections of the new workers: ${counts.join(' ')}`,
    );
  });
});

describe('a reload', () => {
  const quick = { WSHUB_DRAIN_SPREAD_MS: '300' };

  it('reads the config file anew: another number of workers', async (t) => {
    const config = join(temporaryFolder(t), 'wshub.json');
    const write = (workers: number) => {
      writeFileSync(config, JSON.stringify({ workers, drainSpreadMs: 300 }));
    };
    write(1);
    const hub = await hubFor(t, { args: ['--config', config], env: { WSHUB_WORKERS: undefined } });
    write(3);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    assert.equal((await stateOf(hub)).totals.workers, 3);
    write(2);
    hub.signal('SIGHUP');
    await loggedTimes(hub, 'reload done', 2);
    assert.equal((await stateOf(hub)).totals.workers, 2);
  });

  it('with a bad setting leaves everything as it is', async (t) => {
    const config = join(temporaryFolder(t), 'wshub.json');
    writeFileSync(config, '{}');
    const hub = await hubFor(t, { args: ['--config', config] });
    const client = await connect(hub, 'a');
    writeFileSync(config, '{"maxPayload": "much"}');
    hub.signal('SIGHUP');
    const { reason } = await hub.logged('reload failed; the present workers serve on');
    assert.match(String(reason), /maxPayload in .* is not allowed/);
    client.send(1);
    assert.equal(await client.next(), 1);
    await (await connect(hub, 'a')).close();
    assert.equal((await hub.admin('GET', '/readyz')).status, 200);
  });

  it('with a worker that cannot start leaves the present ones serving', async (t) => {
    const folder = temporaryFolder(t);
    const handlers = join(folder, 'handlers.js');
    writeFileSync(handlers, 'export default { types: {} };');
    const hub = await hubFor(t, { env: { ...quick, WSHUB_HANDLERS: handlers } });
    const client = await connect(hub, 'a');
    writeFileSync(handlers, 'throw new Error("a broken module");');
    hub.signal('SIGHUP');
    const { reason } = await hub.logged('reload failed; the present workers serve on');
    assert.match(String(reason), /a broken module/);
    client.send(1);
    assert.equal(await client.next(), 1);

    writeFileSync(handlers, 'export default { types: {} };');
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    assert.equal((await client.end()).code, 1012);
  });

  it('tells a client to come back, with a time of its own', async (t) => {
    const hub = await hubFor(t, { env: quick });
    const client = await connect(hub, 'a');
    hub.signal('SIGHUP');
    assert.deepEqual(await client.next(), { status: 'draining', reconnect: { minMs: 100, maxMs: 1_000 } });
    assert.deepEqual(await client.next(), { status: 'disconnected', reason: 'restarting', code: 1012 });
    const { code, reason } = await client.end();
    assert.equal(code, 1012);
    const retryMs = Number(/^restarting retry=(\d+)$/.exec(reason)?.[1]);
    assert.ok(retryMs >= 100 && retryMs <= 1_000, reason);
  });

  it('waits its turn behind one that runs', async (t) => {
    const hub = await hubFor(t, { env: quick });
    hub.signal('SIGHUP');
    await hub.logged('reload begins');
    hub.signal('SIGHUP');
    await loggedTimes(hub, 'reload done', 2);
    const moments = hub.log.filter(({ msg }) => msg === 'reload begins' || msg === 'reload done');
    assert.deepEqual(
      moments.map(({ msg }) => msg),
      ['reload begins', 'reload done', 'reload begins', 'reload done'],
    );
  });

  it('is cut short by a stop', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_DRAIN_SPREAD_MS: '600000' } });
    const clients = await Promise.all(Array.from({ length: 6 }, () => connect(hub, 'a')));
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    hub.signal('SIGTERM');
    assert.equal(await hub.ended(), 0);
    const codes = await Promise.all(clients.map(async (client) => (await client.end()).code));
    assert.ok(codes.includes(1001), `they were closed with ${codes.join(' ')}`);
  });

  it('does not begin any more once the hub stops, also where it was waiting for its turn', async (t) => {
    const hub = await hubFor(t);
    hub.signal('SIGHUP');
    await hub.logged('reload begins');
    hub.signal('SIGHUP');
    await hub.logged('a reload runs already; another follows it');
    hub.signal('SIGTERM');
    await hub.logged('hub stops');
    hub.signal('SIGHUP');
    assert.equal(await hub.ended(), 0);
    assert.equal(hub.log.filter(({ msg }) => msg === 'reload begins').length, 1);
  });

  it('leaks nothing in ten of them', async (t) => {
    const hub = await hubFor(t, { env: quick });
    const holds = () => ({
      descriptors: readdirSync(`/proc/${hub.pid}/fd`).length,
      children: readFileSync(`/proc/${hub.pid}/task/${hub.pid}/children`, 'utf8').trim().split(' ').length,
      files: readdirSync(hub.runtimeDir).length,
    });
    let first: ReturnType<typeof holds> | undefined;
    for (let round = 1; round <= 10; round += 1) {
      const client = await connect(hub, 'a');
      hub.signal('SIGHUP');
      await loggedTimes(hub, 'reload done', round);
      assert.equal((await client.end()).code, 1012);
      first ??= holds();
    }
    // What closes in the kernel and in the event loop may take a turn more.
    await eventually(
      async () => {
        await sleep(50);
        return JSON.stringify(holds()) === JSON.stringify(first) ? true : undefined;
      },
      `${JSON.stringify(first)} again, not ${JSON.stringify(holds())}`,
    );
    assert.equal(holds().children, 2);
  });
});

describe('a worker above its memory limit', () => {
  it('is replaced, and its clients are drained', async (t) => {
    // Any worker is above it, so every one is replaced once and again.
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_WORKER_MAX_MEMORY: '1000000', WSHUB_DRAIN_SPREAD_MS: '300' },
    });
    const client = await connect(hub, 'a');
    const { workerId } = await hub.logged('worker is replaced', { reason: 'memory' });
    assert.equal(workerId, client.workerId);
    assert.equal((await client.end()).code, 1012);
    await (await connect(hub, 'a')).close();
  });
});
