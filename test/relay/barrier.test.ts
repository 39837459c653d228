/** The barrier: a client that has read `connected` gets everything that any worker accepts from then on. */
import assert from 'node:assert/strict';
import type { Agent } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { connect, startHub, type HubProcess } from '../support.ts';

const rounds = 1_000;
/** fewer than rounds, so that channels are left and joined again all the time */
const channels = 50;

describe('the barrier', () => {
  let hub: HubProcess;
  /** an HTTP connection to each worker */
  const doors = new Map<string, Agent>();
  before(async () => {
    hub = await startHub({ workers: 3, env: { WSHUB_LOG_LEVEL: 'debug' } });
    for (const { workerId } of hub.workers) {
      doors.set(workerId, await hub.publicConnection((found) => found === workerId));
    }
  });
  after(async () => {
    for (const door of doors.values()) door.destroy();
    await hub.end();
  });

  it(`loses none of ${rounds} messages published on the other workers as soon as \`connected\` is read`, async () => {
    const joinedOn = new Set<string>();
    for (let round = 0; round < rounds; round += 1) {
      const channel = `barrier/${round % channels}`;
      const client = await connect(hub, channel);
      joinedOn.add(client.workerId);
      const others = [...doors].filter(([workerId]) => workerId !== client.workerId);
      assert.equal(others.length, 2);
      const published = others.map(async ([workerId, agent]) => {
        const body = JSON.stringify({ round, workerId });
        const path = `/channels/${encodeURIComponent(channel)}/messages`;
        const { status } = await hub.admin('POST', path, { port: hub.port, agent, body });
        assert.equal(status, 202);
      });
      const messages = (await client.take(2)) as { round: number; workerId: string }[];
      assert.deepEqual(
        messages.toSorted((a, b) => a.workerId.localeCompare(b.workerId)),
        others
          .map(([workerId]) => ({ round, workerId }))
          .toSorted((a, b) => a.workerId.localeCompare(b.workerId)),
      );
      await Promise.all(published);
      client.ws.close(); // its leaving goes on while the next one joins
    }
    assert.equal(joinedOn.size, 3);
  });

  it('holds for many simultaneous joins of a channel', async () => {
    for (let round = 0; round < 20; round += 1) {
      const channel = `crowd/${round}`;
      const clients = await Promise.all(
        Array.from({ length: 9 }, async (_, n) => {
          const client = await connect(hub, channel);
          client.send(n);
          return client;
        }),
      );
      // Everyone has read its own `connected` by now: this reaches all of them.
      clients[0]?.send('all');
      for (const client of clients) {
        while ((await client.next()) !== 'all');
        client.ws.close();
      }
    }
  });
});
