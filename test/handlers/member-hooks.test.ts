/** onJoin, onLeave, onOccupied and onVacated over a running hub: once, in order, whatever is killed. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  connect,
  connectWhere,
  eventually,
  hubFor,
  temporaryFolder,
  type Client,
  type HubProcess,
  type LogLine,
} from '../support.ts';

const env = {
  WSHUB_HANDLERS: join(import.meta.dirname, 'member-functions.ts'),
  WSHUB_HANDLER_TIMEOUT_MS: '60000',
  WSHUB_NAMESPACES: JSON.stringify([{ name: 'room', presence: true }]),
  WSHUB_STOP_SPREAD_MS: '0',
};

const start = (t: TestContext, more: Record<string, string> = {}) => hubFor(t, { env: { ...env, ...more } });

interface Told extends LogLine {
  id: string;
  what: string;
  channel: string;
  member: { connectionId: string } | null;
}

const lines = (hub: HubProcess, channel: string, msg = 'told') =>
  hub.log.filter((line) => line.msg === msg && line['channel'] === channel) as Told[];

const events = (hub: HubProcess, channel: string) =>
  lines(hub, channel).map(({ what, member }) => (member ? `${what} ${member.connectionId}` : what));

/** Waits until so many events were handled. */
async function handled(hub: HubProcess, channel: string, count: number): Promise<string[]> {
  await eventually(
    () => (lines(hub, channel).length >= count ? true : undefined),
    `${count} events of ${channel}`,
  );
  return events(hub, channel);
}

const joins = ({ connectionId }: Client) => `join ${connectionId}`;
const leaves = ({ connectionId }: Client) => `leave ${connectionId}`;

describe('onJoin, onLeave, onOccupied and onVacated', () => {
  it('run once for clients of all workers, in one worker and in order', async (t) => {
    const hub = await start(t);
    const one = await connect(hub, 'room:1');
    await handled(hub, 'room:1', 2);
    const two = await connectWhere(hub, 'room:2', (workerId) => workerId !== one.workerId);
    await connect(hub, 'other:1');
    await two.close();
    await one.close();
    const again = await connect(hub, 'room:1');
    const [first, second] = [
      ['occupied', joins(one), leaves(one), 'vacated'],
      ['occupied', joins(again)],
    ];
    assert.deepEqual(await handled(hub, 'room:1', 6), [...first, ...second]);
    await eventually(() => (events(hub, 'room:2').at(-1) === 'vacated' ? true : undefined), 'room:2 empty');
    assert.deepEqual(events(hub, 'room:2').slice(-3), [joins(two), leaves(two), 'vacated']);
    const all = [...lines(hub, 'room:1'), ...lines(hub, 'room:2')];
    assert.equal(new Set(all.map(({ worker }) => worker)).size, 1, 'one worker handles all');
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length, 'each has an id of its own');
    assert.deepEqual(lines(hub, 'other:1'), []);
  });

  it('may ask who is on a channel of any worker', async (t) => {
    const hub = await start(t);
    const one = await connect(hub, 'room:1');
    const two = await connectWhere(hub, 'room:1', (workerId) => workerId !== one.workerId);
    await eventually(() => (events(hub, 'room:1').includes(joins(two)) ? true : undefined), 'the join');
    one.send({ type: 'who' });
    const [list, stats] = (await one.next()) as [
      { clients: { connectionId: string }[]; truncated: boolean },
      { connections: number; users: number },
    ];
    assert.ok(list.clients.length === 2);
    assert.ok(stats.connections >= 2 && stats.users === 0);
    const other = await connect(hub, 'other');
    other.send({ type: 'who' });
    assert.equal(((await other.next()) as { error: { code: string } }).error.code, 'handler_failed');
    const line = await hub.logged('handler failed', { handler: 'who' });
    assert.match(JSON.stringify(line['err']), /the channel has no presence/);
  });

  it('handle the leaves of a worker that dies, and of the worker that handles them', async (t) => {
    const hub = await start(t);
    const one = await connect(hub, 'room:1');
    await handled(hub, 'room:1', 2);
    const [{ worker: handler } = { worker: '' }] = lines(hub, 'room:1');
    const dies = await connectWhere(hub, 'room:2', (workerId) => workerId === handler);
    const stays = await connectWhere(hub, 'room:2', (workerId) => workerId !== handler);
    await eventually(() => (events(hub, 'room:2').includes(joins(stays)) ? true : undefined), 'the join');
    process.kill(hub.pidOf(handler), 'SIGKILL');
    await eventually(() => (events(hub, 'room:2').includes(leaves(dies)) ? true : undefined), 'the leave');
    await stays.close();
    await eventually(() => (events(hub, 'room:2').at(-1) === 'vacated' ? true : undefined), 'the end');
    assert.deepEqual(events(hub, 'room:2').slice(-3), [leaves(dies), leaves(stays), 'vacated']);
    const last = lines(hub, 'room:2').slice(-3);
    assert.ok(last.every(({ worker }) => worker !== handler));
    assert.equal(events(hub, 'room:2').filter((event) => event === leaves(dies)).length, 1);
    assert.ok(one);
  });

  it('run again with the same id when their worker dies before they have ended', async (t) => {
    const gate = join(temporaryFolder(t), 'gate');
    const hub = await start(t, { TEST_GATE_FILE: gate });
    const probe = await connect(hub, 'room:1');
    await handled(hub, 'room:1', 2);
    const handler = lines(hub, 'room:1')[0]?.worker ?? '';
    const client = await connectWhere(hub, 'room:gated', (workerId) => workerId !== handler);
    await eventually(() => (lines(hub, 'room:gated', 'begun').length === 1 ? true : undefined), 'the first');
    process.kill(hub.pidOf(handler), 'SIGKILL');
    await eventually(() => (lines(hub, 'room:gated', 'begun').length === 2 ? true : undefined), 'the second');
    writeFileSync(gate, '');
    await eventually(
      () => (events(hub, 'room:gated').includes(joins(client)) ? true : undefined),
      'the join',
    );
    const [first, second] = lines(hub, 'room:gated', 'begun');
    assert.deepEqual([first?.id, first?.what], [second?.id, 'occupied']);
    assert.notEqual(first?.worker, second?.worker);
    assert.ok(probe);
  });

  it('are told what has changed while the broker was away, and nothing twice', async (t) => {
    const hub = await start(t);
    const [stays, goes] = [await connect(hub, 'room:1'), await connect(hub, 'room:1')];
    await handled(hub, 'room:1', 3);
    const broker = (await hub.logged('broker ready'))['brokerPid'] as number;
    process.kill(broker, 'SIGKILL');
    await hub.logged('broker died', { brokerPid: broker });
    await goes.close();
    const [comes, passes] = [await connect(hub, 'room:1'), await connect(hub, 'room:2')];
    await passes.close();
    const all = await handled(hub, 'room:1', 5);
    assert.deepEqual(all.slice(0, 3), ['occupied', joins(stays), joins(goes)]);
    assert.deepEqual(all.slice(3).sort(), [joins(comes), leaves(goes)].sort());
    assert.deepEqual(await handled(hub, 'room:2', 4), ['occupied', joins(passes), leaves(passes), 'vacated']);
    await stays.close();
    await comes.close();
    assert.deepEqual(
      (await handled(hub, 'room:1', 8)).slice(5).sort(),
      ['vacated', leaves(stays), leaves(comes)].sort(),
    );
  });

  it('are told of the end of every client before the hub stops, and their failures are logged', async (t) => {
    const hub = await start(t);
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(hub, 'room:1')));
    await connect(hub, 'room:fails');
    await hub.logged('handler failed', { handler: 'onJoin', channel: 'room:fails' });
    await hub.end();
    const all = events(hub, 'room:1');
    assert.deepEqual([all[0], all.at(-1)], ['occupied', 'vacated']);
    assert.deepEqual(
      all.slice(1, -1).sort(),
      clients.flatMap((client) => [joins(client), leaves(client)]).sort(),
    );
    assert.equal(lines(hub, 'room:fails', 'begun').length, 4);
  });
});
