/** The server API as npm cent.js uses it, unchanged. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { connect, startHub, type HubProcess } from '../../support.ts';

type Call = (params?: object) => Promise<unknown>;

/** What is used of its client; the types of the package lack members of the answers. */
interface Client extends Record<
  | 'publish'
  | 'broadcast'
  | 'disconnect'
  | 'getPresence'
  | 'getPresenceStats'
  | 'getHistory'
  | 'removeHistory'
  | 'getChannels'
  | 'getInfo',
  Call
> {
  pipeline(commands: readonly { method: string; params: object }[]): Promise<unknown[]>;
}

const { CentClient } = createRequire(import.meta.url)('cent.js') as {
  CentClient: new (options: { url: string; apiKey: string }) => Client;
};

const namespaces = JSON.stringify([{ presence: true }, { name: 'kept', historySize: 10, historyTtl: '1h' }]);

for (const place of ['port', 'opsPort'] as const) {
  describe(`cent.js on the ${place}`, () => {
    let hub: HubProcess;
    let cent: Client;
    before(async () => {
      hub = await startHub({ env: { WSHUB_NAMESPACES: namespaces } });
      cent = new CentClient({ url: `http://127.0.0.1:${hub[place]}/api`, apiKey: hub.token });
    });
    after(() => hub.end());

    it('publishes and broadcasts', async () => {
      const client = await connect(hub, 'news');
      assert.deepEqual(await cent.publish({ channel: 'news', data: { n: 1 } }), {});
      const placed = (await cent.publish({ channel: 'kept:1', data: { n: 1 } })) as { epoch: string };
      assert.deepEqual(placed, { offset: 1, epoch: placed.epoch });
      const { responses } = (await cent.broadcast({ channels: ['news', 'kept:1'], data: { n: 2 } })) as {
        responses: unknown[];
      };
      assert.deepEqual(responses, [{ result: {} }, { result: { offset: 2, epoch: placed.epoch } }]);
      assert.deepEqual(await client.take(2), [{ n: 1 }, { n: 2 }]);
      await client.close();
    });

    it('reads presence, channels and info', async () => {
      const client = await connect(hub, 'room');
      const { connectionId } = client;
      assert.deepEqual(await cent.getPresence({ channel: 'room' }), {
        presence: { [connectionId]: { client: connectionId, user: '' } },
      });
      assert.deepEqual(await cent.getPresenceStats({ channel: 'room' }), { num_clients: 1, num_users: 1 });
      assert.deepEqual(await cent.getChannels({ pattern: 'ro*' }), {
        channels: { room: { num_clients: 1 } },
      });
      assert.deepEqual(await cent.getChannels(), { channels: { room: { num_clients: 1 } } });
      const { nodes } = (await cent.getInfo()) as { nodes: { uid: string; num_subs: number }[] };
      const subscriptions = Object.fromEntries(nodes.map(({ uid, num_subs: count }) => [uid, count]));
      assert.deepEqual(subscriptions, {
        ...Object.fromEntries(hub.workers.map(({ workerId }) => [workerId, 0])),
        [client.workerId]: 1,
      });
      await client.close();
    });

    it('reads and removes the history', async () => {
      const channel = 'kept:2';
      const { epoch } = (await cent.publish({ channel, data: { n: 1 } })) as { epoch: string };
      assert.deepEqual(await cent.getHistory({ channel, limit: 10 }), {
        publications: [{ data: { n: 1 }, offset: 1 }],
        epoch,
        offset: 1,
      });
      assert.deepEqual(await cent.removeHistory({ channel }), {});
      assert.deepEqual(await cent.getHistory({ channel, limit: 10 }), { publications: [], epoch, offset: 1 });
    });

    it('disconnects a client', async () => {
      const client = await connect(hub, 'room');
      assert.deepEqual(await cent.disconnect({ user: '', client: client.connectionId }), {});
      assert.equal((await client.end()).code, 4000);
    });

    it('sends many commands in a pipeline', async () => {
      const client = await connect(hub, 'news');
      const commands = [1, 2, 3].map((n) => ({
        method: 'publish',
        params: { channel: 'news', data: { n } },
      }));
      assert.deepEqual(await cent.pipeline(commands), [{}, {}, {}]);
      assert.deepEqual(await client.take(3), [{ n: 1 }, { n: 2 }, { n: 3 }]);
      await client.close();
    });

    it('throws the errors of the API', async () => {
      await assert.rejects(cent.getHistory({ channel: 'room' }));
      await assert.rejects(cent.publish({ channel: 'news' }));
      const stranger = new CentClient({ url: `http://127.0.0.1:${hub[place]}/api`, apiKey: 'wrong' });
      await assert.rejects(stranger.getInfo());
    });
  });
}
