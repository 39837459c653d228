/**
 * Workers and surroundings that fail under load: nobody whose worker lived loses, doubles or reorders a message, and
 * memory comes back to where it was.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import {
  connect,
  connectApart,
  connectWhere,
  eventually,
  hubFor,
  runCli,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';

/** Sends a number every few milliseconds until it is stopped. */
function talk(client: Client): { stop: () => number } {
  let sent = 0;
  const timer = setInterval(() => {
    client.send(sent++);
  }, 5);
  return {
    stop: () => {
      clearInterval(timer);
      return sent;
    },
  };
}

/** The reader has got 0 to `sent` - 1, each once and in order. */
async function gotAll(reader: Client, sent: number): Promise<void> {
  const got = await reader.take(sent);
  assert.deepEqual(
    got,
    Array.from({ length: sent }, (_, n) => n),
  );
  assert.deepEqual(reader.rest(), []);
}

async function settled(hub: HubProcess, workers: number): Promise<void> {
  await eventually(async () => {
    const { status, body } = await hub.admin('GET', '/state');
    if (status !== 200) return undefined;
    const { workers: list } = body as { workers: { linked: boolean; state: string }[] };
    const ready = list.filter(({ linked, state }) => linked && state === 'ready');
    return ready.length === workers ? true : undefined;
  }, 'all workers linked');
}

describe('a stopped worker', () => {
  it('gets every message after 5 s, and its siblings continue in the meantime', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const [talker, distant] = await connectApart(hub, 'room');
    const near = await connectWhere(hub, 'room', (id) => id === talker.workerId);
    const pid = hub.pidOf(distant.workerId);
    const { stop } = talk(talker);
    process.kill(pid, 'SIGSTOP');
    await sleep(5_000);
    const before = near.received.length;
    assert.ok(before > 100, `${before} messages came in 5 s`);
    process.kill(pid, 'SIGCONT');
    const sent = stop();
    await gotAll(near, sent);
    await gotAll(distant, sent);
    assert.equal(hub.pidOf(distant.workerId), pid);
    await Promise.all([talker, near, distant].map((client) => client.close()));
    await assertNoGrowth(hub, held);
  });

  it('is replaced after a longer time, without effect on clients of other workers', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const [talker, distant] = await connectApart(hub, 'room');
    const near = await connectWhere(hub, 'room', (id) => id === talker.workerId);
    const { stop } = talk(talker);
    process.kill(hub.pidOf(distant.workerId), 'SIGSTOP');
    await hub.logged('worker died', { workerId: distant.workerId, reason: 'hang' });
    assert.equal((await distant.end()).code, 1006);
    await settled(hub, 2);
    const again = await connectWhere(hub, 'room', (id) => id !== talker.workerId);
    const from = (await again.next()) as number;
    const sent = stop();
    await gotAll(near, sent);
    assert.deepEqual(
      await again.take(sent - from - 1),
      Array.from({ length: sent - from - 1 }, (_, n) => from + 1 + n),
    );
    await Promise.all([talker, near, again].map((client) => client.close()));
    await assertNoGrowth(hub, held);
  });
});

describe('a worker that is killed again and again under load', () => {
  it('affects no client of the other worker', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const talker = await connect(hub, 'room');
    const near = await connectWhere(hub, 'room', (id) => id === talker.workerId);
    const { stop } = talk(talker);
    for (let kill = 0; kill < 3; kill += 1) {
      await settled(hub, 2);
      const other = hub.workers.find(({ workerId }) => workerId !== talker.workerId);
      assert.ok(other);
      process.kill(other.pid, 'SIGKILL');
      await hub.logged('worker died', { workerId: other.workerId });
    }
    const sent = stop();
    await gotAll(near, sent);
    await settled(hub, 2);
    const far = await connectWhere(hub, 'room', (id) => id !== talker.workerId);
    talker.send('still there');
    assert.equal(await far.next(), 'still there');
    await Promise.all([talker, near, far].map((client) => client.close()));
    await assertNoGrowth(hub, held);
  });
});

describe('the runtime directory', () => {
  it('may lose the link sockets: links stay open, the sockets are created again, a new worker can link', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const held = await holdings(hub);
    const [one, other] = await connectApart(hub, 'room');
    const sockets = readdirSync(hub.runtimeDir).filter((name) => /^w\d+\.sock$/.test(name));
    assert.equal(sockets.length, 2);
    for (const name of sockets) rmSync(join(hub.runtimeDir, name));
    one.send(1);
    assert.equal(await other.next(), 1);
    for (const name of sockets) {
      await eventually(() => (existsSync(join(hub.runtimeDir, name)) ? true : undefined), name);
    }
    process.kill(hub.pidOf(other.workerId), 'SIGKILL');
    await hub.logged('worker died', { workerId: other.workerId });
    await settled(hub, 2);
    const again = await connectWhere(hub, 'room', (id) => id !== one.workerId);
    one.send(2);
    assert.equal(await again.next(), 2);
    await Promise.all([one.close(), again.close()]);
    await assertNoGrowth(hub, held);
  });

  it('that cannot be written to stops the start with a sentence', async () => {
    const { code, stderr } = await runCli(['start'], {
      WSHUB_RUNTIME_DIR: '/dev/null/wshub', // not even root can make a directory there
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
    });
    assert.equal(code, 1);
    assert.match(stderr, /^wshub: runtime directory \/dev\/null\/wshub: .*\n$/);
  });
});

describe('the primary', () => {
  it('killed with -9 ends its workers, and leaves no files behind', async () => {
    const hub = await startHub({ env: { WSHUB_RUNTIME_DIR: undefined } });
    const line = await hub.logged('hub starts');
    const client = await connect(hub, 'room');
    hub.signal('SIGKILL');
    assert.equal(await hub.ended(), 'SIGKILL');
    assert.ok([1001, 1006].includes((await client.end()).code));
    assert.equal(existsSync(String(line['runtimeDir'])), false);
    rmSync(hub.runtimeDir, { recursive: true, force: true });
  });
});
