/** A worker killed under load: the others lose nothing, and its slot is filled again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Actions } from '../../src/admin/actions.ts';
import { connect, connectWhere, eventually, hubFor, type Client, type HubProcess } from '../support.ts';

/** Sends numbered messages, a few at a time, until told to stop; returns how many. */
async function keepSending(client: Client, stopped: () => boolean): Promise<number> {
  let sent = 0;
  while (!stopped()) {
    for (let n = 0; n < 20; n += 1) client.send({ from: client.connectionId, n: sent++ });
    for (;;) {
      const { from, n } = (await client.next()) as { from: string; n: number };
      if (from === client.connectionId && n === sent - 1) break;
    }
  }
  return sent;
}

function numbersFrom(author: Client, reader: Client): number[] {
  return reader.received
    .map((text) => JSON.parse(text) as { from?: string; n: number })
    .filter(({ from }) => from === author.connectionId)
    .map(({ n }) => n);
}

async function clientOnEach(hub: HubProcess, channel: string): Promise<Client[]> {
  const clients: Client[] = [];
  for (const { workerId } of hub.workers) {
    clients.push(await connectWhere(hub, channel, (found) => found === workerId));
  }
  return clients;
}

async function stateOf(hub: HubProcess): Promise<Actions['state']['answer']> {
  const { status, body } = await hub.admin('GET', '/state');
  assert.equal(status, 200);
  return body as Actions['state']['answer'];
}

describe('kill -9 of a worker under load', () => {
  it('disconnects only its own clients, and its replacement has the right interest', async (t) => {
    const hub = await hubFor(t, { workers: 3 });
    const before = await clientOnEach(hub, 'load');
    const [one, two, victim] = before as [Client, Client, Client];
    await connectWhere(hub, 'only there', (workerId) => workerId === victim.workerId);
    let stop = false;
    const counts = Promise.all([one, two].map((client) => keepSending(client, () => stop)));

    const victimPid = hub.pidOf(victim.workerId);
    process.kill(victimPid, 'SIGKILL');
    assert.equal((await victim.end()).code, 1006);
    const died = await hub.logged('worker died', { workerPid: victimPid });
    assert.deepEqual(
      { signal: died['signal'], reason: died['reason'], workerId: died['workerId'] },
      { signal: 'SIGKILL', reason: 'crash', workerId: victim.workerId },
    );
    const forked = await hub.logged('worker forked', { slot: died['slot'], workerId: 'w4' });
    await hub.logged('worker ready', { slot: died['slot'], workerId: 'w4' });
    assert.notEqual(forked['workerPid'], victimPid);

    const newcomer = await connectWhere(hub, 'load', (workerId) => workerId === 'w4');
    stop = true;
    const sent = await counts;
    for (const [index, author] of [one, two].entries()) {
      author.send({ end: index });
    }
    for (const client of [one, two, newcomer]) {
      await eventually(
        () => ([0, 1].every((end) => client.received.includes(`{"end":${end}}`)) ? true : undefined),
        'the last messages',
      );
    }
    for (const [index, author] of [one, two].entries()) {
      const all = Array.from({ length: sent[index] ?? 0 }, (_, n) => n);
      for (const reader of [one, two]) assert.deepEqual(numbersFrom(author, reader), all);
      const late = numbersFrom(author, newcomer);
      assert.deepEqual(late, all.slice(all.length - late.length)); // from its `connected` on without a gap
    }
    newcomer.send('from the newcomer');
    for (const client of [one, two]) {
      await eventually(
        () => (client.received.at(-1) === '"from the newcomer"' ? true : undefined),
        'the newcomer',
      );
    }
    const state = await stateOf(hub);
    assert.deepEqual(
      new Set(state.workers.map(({ workerId }) => workerId)),
      new Set([one.workerId, two.workerId, 'w4']),
    );
    assert.deepEqual(new Set(state.workers.map(({ linked }) => linked)), new Set([true]));
    assert.deepEqual(
      state.channels.map(({ channel, connections }) => ({ channel, connections })),
      [{ channel: 'load', connections: 3 }],
    );
    assert.equal(state.totals.channels, 1, 'nobody takes the dead worker to be on its channels any more');
  });

  it('is survived repeatedly, also by the first workers', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const first = await connectWhere(hub, 'again', (workerId) => workerId === 'w1');
    for (let round = 0; round < 4; round += 1) {
      const victim = `w${2 + round}`;
      process.kill(hub.pidOf(victim), 'SIGKILL');
      const successor = `w${3 + round}`;
      await hub.logged('worker ready', { workerId: successor });
      const other = await connectWhere(hub, 'again', (workerId) => workerId === successor);
      first.send({ round });
      assert.deepEqual(await other.next(), { round });
      other.send({ answer: round });
      assert.deepEqual(await first.take(2), [{ round }, { answer: round }]);
    }
    const { totals } = await stateOf(hub);
    assert.deepEqual(totals, { workers: 2, connections: 2, channels: 1 });
    assert.equal((await connect(hub, 'again')).channel, 'again');
  });
});
