/** Who is on a channel, over HTTP: on all workers, by user, and right as soon as a worker is gone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import type { Actions } from '../../src/admin/actions.ts';
import {
  codeOf,
  connect,
  connectWhere,
  eventually,
  hubFor,
  temporaryFolder,
  type Client,
} from '../support.ts';

type Presence = Actions['presence']['answer'];

const namespaces = JSON.stringify([{ name: 'room', presence: true }]);

describe('presence', () => {
  it('lists the clients of both workers with user and info, in pages, and counts users once', async (t) => {
    const secret = randomBytes(32).toString('base64');
    const file = join(temporaryFolder(t), 'key');
    writeFileSync(file, secret);
    const hub = await hubFor(t, { env: { WSHUB_NAMESPACES: namespaces, WSHUB_JWT_SECRET_FILE: file } });
    const enter = async (sub: string, wanted: (workerId: string) => boolean): Promise<Client> => {
      const claims = { sub, info: { name: sub }, channels: [{ name: '*', can: ['subscribe'] }] };
      const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
      return connectWhere(hub, `room:1?token=${token}`, wanted);
    };
    const one = await enter('anna', () => true);
    const two = await enter('anna', (workerId) => workerId !== one.workerId);
    const three = await enter('bert', () => true);
    const all = [one, two, three].map(({ connectionId }) => connectionId).sort();
    const { body } = await hub.admin('GET', '/channels/room:1/presence');
    const { clients, truncated } = body as Presence;
    assert.deepEqual(
      clients.map(({ connectionId }) => connectionId),
      all,
    );
    assert.deepEqual(
      clients.find(({ connectionId }) => connectionId === three.connectionId),
      { connectionId: three.connectionId, user: 'bert', info: { name: 'bert' } },
    );
    assert.equal(truncated, false);
    const first = (await hub.admin('GET', '/channels/room:1/presence?limit=2')).body as Presence;
    assert.deepEqual([first.clients.length, first.truncated], [2, true]);
    const rest = (await hub.admin('GET', `/channels/room:1/presence?after=${first.next}`)).body as Presence;
    assert.deepEqual(
      [...first.clients, ...rest.clients].map(({ connectionId }) => connectionId),
      all,
    );
    const stats = await hub.admin('GET', '/channels/room:1/presence/stats');
    assert.deepEqual(stats.body, { channel: 'room:1', connections: 3, users: 2 });
    await two.close();
    const left = await eventually(async () => {
      const now = (await hub.admin('GET', '/channels/room:1/presence/stats')).body as { connections: number };
      return now.connections === 2 ? now : undefined;
    }, 'the end of a client');
    assert.deepEqual(left, { channel: 'room:1', connections: 2, users: 2 });
  });

  it('forgets the clients of a worker that dies', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_NAMESPACES: namespaces } });
    const stays = await connect(hub, 'room:1');
    const dies = await connectWhere(hub, 'room:1', (workerId) => workerId !== stays.workerId);
    process.kill(hub.pidOf(dies.workerId), 'SIGKILL');
    await dies.end();
    const clients = await eventually(async () => {
      const answer = await hub.admin('GET', '/channels/room:1/presence');
      return answer.status === 200 ? (answer.body as Presence).clients : undefined;
    }, 'an answer');
    assert.deepEqual(clients, [{ connectionId: stays.connectionId }]);
  });

  it('is refused where the namespace does not have it, and empty where nobody is', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_NAMESPACES: namespaces } });
    for (const path of ['/channels/other/presence', '/channels/other/presence/stats']) {
      const answer = await hub.admin('GET', path);
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_request']);
    }
    const empty = await hub.admin('GET', '/channels/room:2/presence');
    assert.deepEqual(empty.body, { channel: 'room:2', clients: [], truncated: false });
  });
});
