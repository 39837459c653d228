/** Each route has exactly one spelling, so that a proxy in front can block it by path. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect, hubFor, request, startHub, type HubProcess } from '../support.ts';
import { adminRequests, spellingsOf } from './spellings.ts';

describe('an admin route', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub.end());

  for (const port of ['port', 'opsPort'] as const) {
    it(`is not reached by another spelling, on the ${port}`, async () => {
      const client = await connect(hub, 'room');
      const unserved = port === 'port' ? 426 : 404;
      for (const [method, path] of adminRequests) {
        for (const spelling of spellingsOf(path)) {
          const { status } = await hub.admin(method, spelling, { port: hub[port], body: '1' });
          const what = `${method} ${JSON.stringify(spelling)}: ${status}`;
          assert.ok([400, method === 'GET' ? unserved : 404].includes(status), what);
        }
      }
      assert.deepEqual(
        hub.log.filter(({ msg }) => msg === 'admin action'),
        [],
      );
      await client.close();
    });
  }

  it('is reached by its absolute form, which RFC 9112 asks of servers', async () => {
    const { status } = await hub.admin('GET', 'http://hub.example/state', { port: hub.port });
    assert.equal(status, 200);
  });
});

describe('a probe', () => {
  it('and the metrics have one spelling too', async (t) => {
    const hub = await hubFor(t);
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      for (const spelling of [path.toUpperCase(), `${path}/`, `/${path}`, `${path}#`]) {
        const { status } = await request(hub.opsPort, 'GET', spelling);
        assert.ok([400, 404].includes(status), `${spelling}: ${status}`);
      }
    }
  });
});

describe('a channel', () => {
  it('may be named like another spelling of a route', async (t) => {
    const hub = await hubFor(t);
    for (const name of ['STATE', 'state/', 'Delete/room', 'CHANNELS/room/messages']) {
      const client = await connect(hub, name);
      assert.equal(client.channel, name);
      await client.close();
    }
  });
});
