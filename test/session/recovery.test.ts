/** What the JavaScript SDK, unchanged, gets across interruptions: everything once and in order, or word that it does not. */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, eventually, hubFor, temporaryFolder, type HubProcess } from '../support.ts';
import { connectSdk, dataOf, subscribed, Wire, type Sdk } from './wire.ts';

const namespaces = (...more: object[]) =>
  JSON.stringify([
    { historySize: 10_000, historyTtl: '1h' },
    { name: 'small', historySize: 2, historyTtl: '1h' },
    ...more,
  ]);

const env = {
  WSHUB_NAMESPACES: namespaces(),
  WSHUB_STOP_SPREAD_MS: '0',
  WSHUB_DRAIN_SPREAD_MS: '500',
};

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** Publishes a number, again until it is stored. */
async function publish(hub: HubProcess, channel: string, n: number): Promise<void> {
  const headers = { 'idempotency-key': `${channel} ${n}` };
  await eventually(async () => {
    try {
      const { status } = await hub.admin('POST', `/channels/${channel}/messages`, {
        body: String(n),
        headers,
      });
      return status === 202 ? true : undefined;
    } catch {
      return undefined; // the worker that had the request is gone
    }
  }, 'a publication');
}

async function workerOf(hub: HubProcess, { events }: Sdk): Promise<string> {
  const id = events.of('connected').at(-1)?.['client'];
  const { body } = await hub.admin('GET', `/connections/${String(id)}`);
  return (body as { workerId: string }).workerId;
}

function brokerPid(hub: HubProcess, before = 0): Promise<number> {
  return eventually(() => {
    const pid = Number(hub.log.findLast(({ msg }) => msg === 'broker ready')?.['brokerPid'] ?? 0);
    return pid === before || pid === 0 ? undefined : pid;
  }, 'a broker');
}

describe('an SDK that comes back', () => {
  it('gets what it missed, or is told that it cannot', async (t) => {
    const hub = await hubFor(t, { env });
    const { client } = await connectSdk(t, hub);
    const room = await subscribed(client, 'room');
    const small = await subscribed(client, 'small:room');
    await publish(hub, 'room', 1);
    await publish(hub, 'small:room', 1);
    await Promise.all([room.events.until('publication'), small.events.until('publication')]);
    client.disconnect();
    for (const n of range(2, 5)) {
      await publish(hub, 'room', n);
      await publish(hub, 'small:room', n);
    }
    client.connect();
    const [, again] = await room.events.until('subscribed', 2);
    assert.deepEqual([again?.['wasRecovering'], again?.['recovered']], [true, true]);
    assert.deepEqual(dataOf(await room.events.until('publication', 5)), range(1, 5));
    const [, lost] = await small.events.until('subscribed', 2);
    assert.deepEqual([lost?.['wasRecovering'], lost?.['recovered']], [true, false]);
    await publish(hub, 'small:room', 6);
    assert.deepEqual(dataOf(await small.events.until('publication', 2)), [1, 6]);
    room.sub.unsubscribe();
    await publish(hub, 'room', 6);
    room.sub.subscribe();
    const [, , third] = await room.events.until('subscribed', 3);
    assert.equal(third?.['recovered'], true);
    assert.deepEqual(dataOf(await room.events.until('publication', 6)), range(1, 6));
  });

  it('is told that it missed nothing', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const { client } = await connectSdk(t, hub);
    const { events } = await subscribed(client, 'room');
    client.disconnect();
    client.connect();
    const [, again] = await events.until('subscribed', 2);
    assert.deepEqual([again?.['wasRecovering'], again?.['recovered']], [true, true]);
    assert.equal(again?.['hasRecoveredPublications'], false);
  });

  it('gets everything from the beginning with an empty epoch and offset 0, and nothing after an unknown one', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    for (const n of range(1, 3)) await publish(hub, 'room', n);
    const wire = await Wire.connect(hub);
    const ask = async (id: number, position: object) => {
      const reply = await wire.ask({ id, subscribe: { channel: 'room', recover: true, ...position } });
      await wire.ask({ id: 99, unsubscribe: { channel: 'room' } });
      const { epoch, ...rest } = reply['subscribe'] as Record<string, unknown>;
      return { epoch, rest };
    };
    const common = { recoverable: true, positioned: true, was_recovering: true };
    const { epoch, rest } = await ask(2, { epoch: '', offset: 0 });
    assert.deepEqual(
      { ...rest, publications: undefined },
      { ...common, recovered: true, publications: undefined },
    );
    assert.equal((rest['publications'] as unknown[]).length, 3);
    const recovered = await ask(3, { epoch, offset: 1 });
    assert.deepEqual(recovered.rest, {
      ...common,
      recovered: true,
      offset: 1,
      publications: [
        { data: 2, offset: 2 },
        { data: 3, offset: 3 },
      ],
    });
    assert.deepEqual((await ask(4, { epoch, offset: 3 })).rest, { ...common, recovered: true, offset: 3 });
    for (const unknown of [
      { epoch, offset: 4 },
      { epoch: '_', offset: 0 },
      { epoch: 'other', offset: 3 },
    ]) {
      assert.deepEqual((await ask(5, unknown)).rest, { ...common, offset: 3 });
    }
    await wire.close();
  });

  it('loses nothing when its worker dies, and when the broker is killed again and again', async (t) => {
    const hub = await hubFor(t, { env });
    const sdk = await connectSdk(t, hub);
    const { events } = await subscribed(sdk.client, 'room');
    await publish(hub, 'room', 1);
    process.kill(hub.pidOf(await workerOf(hub, sdk)), 'SIGKILL');
    for (const n of range(2, 20)) await publish(hub, 'room', n);
    await sdk.events.until('connected', 2);
    assert.deepEqual(dataOf(await events.until('publication', 20)), range(1, 20));
    let pid = 0;
    for (const round of range(1, 3)) {
      pid = await brokerPid(hub, pid);
      process.kill(pid, 'SIGKILL');
      for (const n of range(1, 10)) await publish(hub, 'room', 10 * (round + 1) + n);
    }
    assert.deepEqual(dataOf(await events.until('publication', 50)), range(1, 50));
    assert.equal(sdk.events.of('connected').length, 2, 'the death of the broker ends no connection');
  });

  it('loses nothing in a reload that moves 40 clients', async (t) => {
    const hub = await hubFor(t, { env });
    const all = await Promise.all(
      range(1, 40).map(async () => {
        const sdk = await connectSdk(t, hub);
        return { ...sdk, room: await subscribed(sdk.client, 'room') };
      }),
    );
    hub.signal('SIGHUP');
    let sent = 0;
    const isDone = () => hub.log.some(({ msg }) => msg === 'reload done');
    while (!isDone()) {
      await publish(hub, 'room', (sent += 1));
      await sleep(20); // the pace of the publisher
    }
    await publish(hub, 'room', (sent += 1));
    for (const { events, room } of all) {
      assert.deepEqual(dataOf(await room.events.until('publication', sent)), range(1, sent));
      const [, closed] = events.of('connecting');
      assert.equal(closed?.['code'], 3001, 'the hub says that it shuts down');
      assert.deepEqual(
        room.events.of('subscribed').map(({ recovered }) => recovered),
        [false, true],
      );
    }
  });

  it('is unsubscribed with 2500 when publications are lost, and goes on from the present', async (t) => {
    const stateDir = temporaryFolder(t);
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_STATE_DIR: stateDir } });
    const { client, events: connection } = await connectSdk(t, hub);
    const { events } = await subscribed(client, 'room');
    const plain = await connect(hub, 'room');
    await publish(hub, 'room', 1);
    await events.until('publication');
    const pid = await brokerPid(hub);
    process.kill(pid, 'SIGSTOP'); // so that it does not write its files anew
    for (const file of readdirSync(stateDir)) {
      if (/\.log$|history/.test(file)) rmSync(join(stateDir, file), { recursive: true });
    }
    process.kill(pid, 'SIGKILL');
    const [, lost] = await events.until('subscribing', 2);
    assert.equal(lost?.['code'], 2500);
    assert.equal((await plain.end()).code, 4201);
    const [, again] = await events.until('subscribed', 2);
    assert.deepEqual([again?.['wasRecovering'], again?.['recovered']], [true, false]);
    await publish(hub, 'room', 2);
    assert.deepEqual(dataOf(await events.until('publication', 2)), [1, 2]);
    assert.equal(connection.of('connected').length, 1);
  });

  it('is closed with 3008 when it reads too slowly', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: {
        ...env,
        WSHUB_OUTBOX_SOFT_BYTES: '65536',
        WSHUB_OUTBOX_MAX_BYTES: '262144',
        WSHUB_SLOW_POLICY: 'skip',
      },
    });
    const slow = await Wire.connect(hub);
    await slow.ask({ id: 2, subscribe: { channel: 'room' } });
    slow.socket?.pause();
    const body = JSON.stringify('x'.repeat(60_000));
    const isClosed = () =>
      hub.log.some(({ msg, reason }) => msg === 'connection closed' && reason === 'slow_consumer');
    for (let n = 0; n < 400 && !isClosed(); n += 1) {
      await hub.admin('POST', '/channels/room/messages', { body });
    }
    slow.socket?.resume();
    assert.deepEqual(await slow.end(), { code: 3008, reason: 'slow_consumer' });
  });
});
