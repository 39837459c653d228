/** The log: one JSON line per event, with the worker and the connection that it is about. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { oneLine } from '../../src/platform/log.ts';
import { connect, connectApart, eventually, hubFor } from '../support.ts';

describe('the log', () => {
  it('has a debug line when a connection opens and when it closes, with pid, worker and connection', async (t) => {
    const hub = await hubFor(t);
    for (const { workerId, connectionId, ws } of await connectApart(hub, 'logged/here')) {
      const who = { level: 'debug', connectionId, worker: workerId, pid: hub.pidOf(workerId) };
      await hub.logged('connection opened', { ...who, channel: 'logged/here' });
      ws.close();
      const closed = await hub.logged('connection closed', { ...who, code: 1005, reason: 'client' });
      assert.equal(typeof closed['durationMs'], 'number');
      assert.ok(!Number.isNaN(Date.parse(String(closed['time']))));
    }
  });

  it('has the reason of a closed connection', async (t) => {
    const hub = await hubFor(t);
    const { connectionId } = await connect(hub, 'deleted');
    await hub.admin('DELETE', '/delete/deleted');
    await hub.logged('connection closed', { connectionId, code: 4001, reason: 'channel_deleted' });
    const other = await connect(hub, 'dropped');
    other.ws.terminate();
    await hub.logged('connection closed', {
      connectionId: other.connectionId,
      code: 1006,
      reason: 'abnormal',
    });
  });

  it('has a debug line when a back end publishes', async (t) => {
    const hub = await hubFor(t);
    for (const port of [hub.port, hub.opsPort]) {
      await hub.admin('POST', '/channels/room/messages', { port, body: '1' });
    }
    const lines = () => hub.log.filter(({ msg, action }) => msg === 'admin action' && action === 'publish');
    await eventually(() => (lines().length === 2 ? true : undefined), 'two lines');
    assert.deepEqual(
      lines().map(({ level }) => level),
      ['debug', 'debug'],
    );
  });

  it('has no such line at info', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_LOG_LEVEL: 'info' } });
    await (await connect(hub, 'quiet')).close();
    await hub.end();
    assert.deepEqual(
      hub.log.filter(({ msg }) => msg.startsWith('connection')),
      [],
    );
    assert.deepEqual(
      hub.log.map(({ msg }) => msg).filter((msg) => msg.startsWith('hub')),
      ['hub starts', 'hub ready', 'hub stops', 'hub stopped'],
    );
  });

  it('has a line for each admin action with its object, result and client', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_LOG_LEVEL: 'info' } });
    const [one, other] = await connectApart(hub, 'deleted');
    await hub.admin('DELETE', '/delete/deleted');
    await hub.admin('DELETE', '/delete/deleted', { port: hub.port });
    await Promise.all([one.end(), other.end()]);
    const target = { channel: 'deleted' };
    const who = { action: 'delete_channel', remoteAddress: '127.0.0.1', level: 'info' };
    const done = await hub.logged('admin action', { ...who, result: 'done', worker: 'primary' });
    assert.deepEqual(done['target'], target);
    const refused = await hub.logged('admin action', { ...who, result: 'not_found' });
    assert.deepEqual(refused['target'], target);
    assert.notEqual(refused.worker, 'primary');
  });

  it('escapes characters that some readers take for line ends', async (t) => {
    const hub = await hubFor(t);
    const odd = 'one\u2028two\u2029three'; // readline, with which the tests read the log, is such a reader
    await (await connect(hub, encodeURIComponent(odd))).close();
    await hub.logged('connection opened', { channel: odd });
    await hub.admin('DELETE', `/kill-connection/room/${encodeURIComponent(`x\u0085${odd}`)}/w1`);
    const { target } = await hub.logged('admin action', { action: 'kill_connection' });
    assert.equal((target as { connectionId: string }).connectionId, `x\u0085${odd}`);
    assert.equal(oneLine('{"a":"\u0085\u2028\u2029é"}\n'), '{"a":"\\u0085\\u2028\\u2029é"}\n');
  });
});
