/** `/readyz` and `/healthz` as a load balancer sees them, through the life of a hub. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { program, start } from '../platform/hub-with-sink.ts';
import { connect, connectWhere, eventually, hubFor, request, type HubProcess } from '../support.ts';

async function probesOf(hub: HubProcess): Promise<{ ready: number; healthy: number }> {
  const [ready, healthy] = await Promise.all(
    ['/readyz', '/healthz'].map(async (path) => (await request(hub.opsPort, 'GET', path)).status),
  );
  return { ready: ready ?? 0, healthy: healthy ?? 0 };
}

/** The statuses of both probes by method, each with whether there is a body. */
async function answersOf(hub: HubProcess): Promise<string[]> {
  const answers: string[] = [];
  for (const path of ['/readyz', '/healthz']) {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const { status, body } = await request(hub.opsPort, method, path);
      answers.push(`${path} ${method} ${status} ${JSON.stringify(body)}`);
    }
  }
  return answers;
}

function wantedAnswers(status: number, text: string): string[] {
  return ['/readyz', '/healthz'].flatMap((path) =>
    ['GET', 'HEAD', 'OPTIONS'].map(
      (method) =>
        `${path} ${method} ${status} ${method === 'HEAD' ? '""' : JSON.stringify({ status: text })}`,
    ),
  );
}

async function until(hub: HubProcess, wanted: { ready: number; healthy: number }): Promise<void> {
  await eventually(async () => {
    const found = await probesOf(hub);
    return found.ready === wanted.ready && found.healthy === wanted.healthy ? true : undefined;
  }, JSON.stringify(wanted));
}

describe('readiness', () => {
  it('is there once all workers are, and gone while one of them is', async (t) => {
    const hub = await hubFor(t);
    assert.deepEqual(await probesOf(hub), { ready: 200, healthy: 200 });
    process.kill(hub.pidOf('w1'), 'SIGKILL');
    await until(hub, { ready: 503, healthy: 200 });
    await until(hub, { ready: 200, healthy: 200 });
  });

  it('is gone while workers drain, and the hub is healthy all the time', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_DRAIN_SPREAD_MS: '4000' } });
    const { workerId } = await connect(hub, 'a');
    // The first of each worker is closed at once, the second half way through.
    await connectWhere(hub, 'a', (other) => other === workerId);
    hub.signal('SIGHUP');
    const seen = new Set<string>();
    while (!hub.log.some(({ msg }) => msg === 'reload done')) {
      const { ready, healthy } = await probesOf(hub);
      assert.equal(healthy, 200);
      const draining = hub.log.some(({ msg }) => msg === 'new workers serve, the old ones drain');
      seen.add(`${draining ? 'draining' : 'starting'} ${ready}`);
    }
    assert.ok(seen.has('starting 200'), 'the old workers are ready while the new ones start');
    assert.ok(seen.has('draining 503'));
    await until(hub, { ready: 200, healthy: 200 });
  });

  it('is gone while the hub stops, and the ops port answers until the end', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_STOP_SPREAD_MS: '4000' } });
    const { workerId } = await connect(hub, 'a');
    await connectWhere(hub, 'a', (other) => other === workerId);
    hub.signal('SIGTERM');
    await hub.logged('hub stops');
    assert.deepEqual(await probesOf(hub), { ready: 503, healthy: 200 });
    assert.equal(await hub.ended(), 0);
  });

  it('is gone, and health with it, when no worker answers', async (t) => {
    const hub = await hubFor(t);
    assert.deepEqual(await answersOf(hub), wantedAnswers(200, 'ok'));
    const pids = hub.workers.map(({ pid }) => pid);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await until(hub, { ready: 503, healthy: 503 });
    // Long before the hub kills them as hung, 7 s later.
    assert.deepEqual(await answersOf(hub), wantedAnswers(503, 'unavailable'));
    assert.ok(!hub.log.some(({ msg }) => msg === 'worker died'));
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await until(hub, { ready: 200, healthy: 200 });
  });
});

describe('a hub that has just become ready', () => {
  for (const attempt of [1, 2, 3]) {
    it(`accepts a client at once (${attempt} of 3)`, async (t) => {
      const hub = await start(t, program, 'ignore'); // resolves with the first 200 of /readyz
      const client = await connect(hub, 'room');
      await client.close();
    });
  }
});
