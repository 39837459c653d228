/** The stop on a signal: notices to clients, and nothing left behind. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { connect as tcpConnect } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, connectApart, hubFor, openMute, type Client } from '../support.ts';

async function assertGoodbye(client: Client): Promise<void> {
  assert.deepEqual(await client.next(), { status: 'draining', reconnect: { minMs: 1_000, maxMs: 10_000 } });
  assert.deepEqual(await client.next(), { status: 'disconnected', reason: 'going_away', code: 1001 });
  const { code, reason } = await client.end();
  assert.equal(code, 1001);
  assert.match(reason, /^going_away retry=\d+$/);
  assert.deepEqual(client.rest(), []);
}

describe('a stop', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`by ${signal} tells every client, closes it with 1001 and exits with 0`, async (t) => {
      const hub = await hubFor(t);
      const clients = [...(await connectApart(hub, 'bye')), ...(await connectApart(hub, 'bye/too'))];
      assert.equal(existsSync(join(hub.runtimeDir, 'w1.sock')), true);
      hub.signal(signal);
      await Promise.all(clients.map(assertGoodbye));
      assert.equal(await hub.ended(), 0);
      assert.equal(hub.stderr, '');
      assert.deepEqual(readdirSync(hub.runtimeDir), []);
      const refused = await new Promise((resolve) => {
        tcpConnect(hub.port, '127.0.0.1').on('error', ({ message }) => {
          resolve(message);
        });
      });
      assert.match(String(refused), /ECONNREFUSED/);
    });
  }

  it('drops a client that does not answer the close', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_CLOSE_TIMEOUT_MS: '200' } });
    await openMute(hub.port, 'mute');
    hub.signal('SIGTERM');
    assert.equal(await hub.ended(), 0);
  });

  it('does not wait for a worker that hangs', async (t) => {
    const hub = await hubFor(t);
    const [one, other] = await connectApart(hub, 'hang');
    process.kill(hub.pidOf(other.workerId), 'SIGSTOP');
    hub.signal('SIGTERM');
    await assertGoodbye(one);
    assert.equal(await hub.ended(), 0);
  });

  it('is cut short by a second signal', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_CLOSE_TIMEOUT_MS: '9000' } });
    await openMute(hub.port, 'mute');
    hub.signal('SIGTERM');
    await hub.logged('hub stops');
    hub.signal('SIGINT');
    assert.equal(await hub.ended(), 128 + 2);
    assert.equal(
      hub.log.some(({ msg }) => msg === 'hub stopped'),
      false,
    );
  });

  it('is for the primary to decide: a worker that gets the signal itself serves on', async (t) => {
    const hub = await hubFor(t);
    const [one, other] = await connectApart(hub, 'terminal');
    for (const { pid } of hub.workers) {
      process.kill(pid, 'SIGINT');
      process.kill(pid, 'SIGTERM');
    }
    one.send('still here');
    assert.equal(await other.next(), 'still here');
    other.send('me too');
    assert.deepEqual(await one.take(2), ['still here', 'me too']);
    const newcomer = await connect(hub, 'terminal');
    newcomer.send('and I');
    assert.equal(await other.take(2).then((messages) => messages.at(-1)), 'and I');
  });
});
