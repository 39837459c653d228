/** Channels with history on the plain protocol: positions, exact resume, and what survives which death. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  Client,
  codeOf,
  connect,
  connectApart,
  eventually,
  hubFor,
  handshake,
  request,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

interface Connected {
  status: string;
  connectionId: string;
  workerId: string;
  epoch: string;
  offset: number;
  recovered?: boolean;
}

interface Enveloped {
  channel: string;
  data: unknown;
  offset: number;
  epoch: string;
  connectionId?: string;
}

const history = { name: 'chat', historySize: 50, historyTtl: '1h' };
const env = (...namespaces: object[]) => ({
  WSHUB_NAMESPACES: JSON.stringify(namespaces),
  WSHUB_STOP_SPREAD_MS: '0',
  WSHUB_DRAIN_SPREAD_MS: '0',
});

/** Connects and gives `connected` too. */
async function join(hub: { port: number }, path: string): Promise<[Client, Connected]> {
  const client = new Client(`ws://127.0.0.1:${hub.port}/${path}`, {});
  return [client, (await client.next()) as Connected];
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const since = ({ epoch, offset }: { epoch: string; offset: number }) => `since=${epoch}:${offset}`;
const publish = (hub: HubProcess, data: unknown) =>
  hub.admin('POST', '/channels/chat:room/messages', { body: JSON.stringify(data) });

async function brokerPid(hub: HubProcess, before = 0): Promise<number> {
  return eventually(() => {
    const ready = hub.log.filter(({ msg }) => msg === 'broker ready').at(-1);
    const pid = Number(ready?.['brokerPid'] ?? 0);
    return pid === before || pid === 0 ? undefined : pid;
  }, 'a broker');
}

describe('a channel with history', () => {
  it('sends positions, and a client that returns with one gets exactly the publications that it missed, on either worker', async (t) => {
    const hub = await hubFor(t, { env: env(history) });
    const [sender, start] = await join(hub, 'chat:room?envelope=true');
    assert.deepEqual([start.status, start.offset], ['connected', 0]);
    for (const n of range(1, 30)) sender.send(n);
    const own = (await sender.take(30)) as Enveloped[];
    assert.deepEqual(
      own.map(({ channel, data, offset, epoch, connectionId }) => [
        channel,
        data,
        offset,
        epoch,
        connectionId,
      ]),
      range(1, 30).map((n) => ['chat:room', n, n, start.epoch, start.connectionId]),
    );
    for (const offset of range(0, 30)) {
      const [client, connected] = await join(hub, `chat:room?${since({ epoch: start.epoch, offset })}`);
      assert.deepEqual([connected.recovered, connected.offset], [true, offset]);
      assert.deepEqual(await client.take(30 - offset), range(offset + 1, 30));
      client.ws.close();
    }
    const both = await connectApart(hub, `chat:room?${since({ epoch: start.epoch, offset: 28 })}`);
    for (const client of both) assert.deepEqual(await client.take(2), [29, 30]);
    await publish(hub, 31);
    for (const client of both) assert.deepEqual(await client.next(), 31);
    assert.deepEqual(await sender.next(), { channel: 'chat:room', data: 31, offset: 31, epoch: start.epoch });
  });

  it('sends recovered: false if it cannot recover, with only the requested last publications', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: env({ ...history, historySize: 5 }) });
    const [sender, { epoch }] = await join(hub, 'chat:room');
    for (const n of range(1, 20)) sender.send(n);
    await sender.take(20);
    const lost = [
      since({ epoch, offset: 14 }),
      since({ epoch, offset: 21 }),
      since({ epoch: 'other', offset: 20 }),
    ];
    for (const query of lost) {
      const [client, connected] = await join(hub, `chat:room?${query}`);
      assert.deepEqual([connected.recovered, connected.offset, connected.epoch], [false, 20, epoch]);
      const [more, again] = await join(hub, `chat:room?${query}&history=3`);
      assert.deepEqual([again.recovered, again.offset], [false, 20]);
      assert.deepEqual(await more.take(3), [18, 19, 20]);
      for (const one of [client, more]) one.ws.close();
    }
    const [client, connected] = await join(hub, 'chat:room?history=2');
    assert.equal(connected.recovered, undefined);
    assert.deepEqual(await client.take(2), [19, 20]);
  });

  it('does not send a message back to its sender with echo=false, also after the broker was replaced', async (t) => {
    const hub = await hubFor(t, { env: env(history) });
    const quiet = await connect(hub, 'chat:room?echo=false');
    const readers = await connectApart(hub, 'chat:room');
    quiet.send('before');
    for (const reader of readers) assert.equal(await reader.next(), 'before');
    const pid = await brokerPid(hub);
    process.kill(pid, 'SIGKILL');
    quiet.send('between');
    for (const reader of readers) assert.equal(await reader.next(), 'between');
    await brokerPid(hub, pid);
    await publish(hub, 'after');
    for (const client of [quiet, ...readers]) assert.equal(await client.next(), 'after');
  });

  it('delivers each publication once while the broker is killed repeatedly', async (t) => {
    const hub = await hubFor(t, { env: env({ ...history, historySize: 10_000 }) });
    const [one, other] = await connectApart(hub, 'chat:room?envelope=true');
    let pid = 0;
    let sent = 0;
    for (const round of range(1, 8)) {
      pid = await brokerPid(hub, pid);
      for (let n = 0; n < 50; n += 1)
        for (const client of [one, other]) client.send({ by: client.workerId, n: (sent += 1) });
      if (round < 8) process.kill(pid, 'SIGKILL');
    }
    const [first, second] = (await Promise.all([one.take(sent), other.take(sent)])) as [
      Enveloped[],
      Enveloped[],
    ];
    assert.deepEqual(first, second);
    assert.deepEqual(
      first.map(({ offset }) => offset),
      range(1, sent),
    );
    assert.deepEqual(
      first.map(({ data }) => (data as { n: number }).n).sort((a, b) => a - b),
      range(1, sent),
    );
  });

  it('is resumed after the death of a worker, and after a reload', async (t) => {
    const hub = await hubFor(t, { env: env(history) });
    const [client, position] = await join(hub, 'chat:room');
    await publish(hub, 1);
    assert.equal(await client.next(), 1);
    process.kill(hub.pidOf(position.workerId), 'SIGKILL');
    await eventually(
      async () => ((await publish(hub, 2)).status === 202 ? true : undefined),
      'a publication',
    );
    const [again, recovered] = await join(hub, `chat:room?${since({ ...position, offset: 1 })}`);
    assert.equal(recovered.recovered, true);
    assert.equal(await again.next(), 2);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    await publish(hub, 3);
    const [last, after] = await join(hub, `chat:room?${since({ ...position, offset: 1 })}`);
    assert.equal(after.recovered, true);
    assert.deepEqual(await last.take(2), [2, 3]);
  });

  it('is resumed after a restart of the hub with a state directory', async (t) => {
    const settings = { ...env(history), WSHUB_STATE_DIR: temporaryFolder(t) };
    const before = await startHub({ workers: 1, env: settings });
    const [client, position] = await join(before, 'chat:room');
    for (const n of range(1, 3)) client.send(n);
    await client.take(3);
    await before.end();
    const hub = await hubFor(t, { workers: 1, env: settings });
    const [again, connected] = await join(hub, `chat:room?${since({ ...position, offset: 1 })}`);
    assert.deepEqual([connected.recovered, connected.epoch], [true, position.epoch]);
    assert.deepEqual(await again.take(2), [2, 3]);
    again.send(4);
    assert.equal(await again.next(), 4);
  });

  it('refuses to join while the broker does not answer', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: env(history) });
    const pid = await brokerPid(hub);
    process.kill(pid, 'SIGSTOP');
    const answer = await request(hub.port, 'GET', '/chat:room', { headers: handshake });
    assert.deepEqual([answer.status, codeOf(answer)], [503, 'unavailable']);
    await (await connect(hub, 'other:room')).close();
    process.kill(pid, 'SIGCONT');
    await (await connect(hub, 'chat:room')).close();
  });
});
