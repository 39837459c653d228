/** Pages are told by a close code why they are refused, because a browser hides the HTTP answer from them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT, type JWTPayload } from 'jose';
import { freshScrape, sum } from '../metrics/exposition.ts';
import {
  Client,
  codeOf,
  connect,
  eventually,
  handshake,
  hubFor,
  openSocket,
  request,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const secret = 'a secret of the tests, long enough';
const own = { origin: 'http://127.0.0.1' };

function signed(claims: JWTPayload): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
}

function hubWithTokens(t: Parameters<typeof hubFor>[0] & Parameters<typeof temporaryFolder>[0]) {
  const file = join(temporaryFolder(t), 'secret');
  writeFileSync(file, secret);
  return hubFor(t, { workers: 1, env: { WSHUB_JWT_SECRET_FILE: file, WSHUB_CLOSE_TIMEOUT_MS: '9000' } });
}

/** A page, which may be refused. */
function page(hub: HubProcess, path: string): Client {
  return new Client(`ws://127.0.0.1:${hub.port}/${path}`, { headers: own });
}

async function assertTold(client: Client, code: number, reason: string): Promise<void> {
  assert.deepEqual(await client.next(), { status: 'disconnected', reason, code });
  assert.deepEqual(await client.end(), { code, reason });
  assert.deepEqual(client.rest(), []);
}

describe('a page that is refused', () => {
  it('gets a close code if its token is refused', async (t) => {
    const hub = await hubWithTokens(t);
    const room = [{ name: 'room', can: ['subscribe', 'publish'] }];
    const expired = await signed({ channels: room, exp: Math.floor(Date.now() / 1000) - 600 });
    const good = await signed({ channels: room });
    await assertTold(page(hub, 'room'), 4004, 'unauthorized');
    await assertTold(page(hub, 'room?token=nonsense'), 4004, 'unauthorized');
    await assertTold(page(hub, `room?token=${expired}`), 4004, 'unauthorized');
    await assertTold(page(hub, `another?token=${good}`), 4002, 'forbidden');
    const eager = page(hub, 'room');
    eager.ws.on('open', () => {
      eager.ws.ping();
      eager.send('not to be heard');
      eager.ws.send(Buffer.from('binary'));
    });
    await assertTold(eager, 4004, 'unauthorized');

    const answers = await Promise.all(
      [
        { path: '/room', headers: {} },
        { path: '/%00', headers: own },
        { path: '/room', headers: { origin: 'https://evil.example' } },
        { path: '/room', headers: { ...own, 'sec-websocket-version': '7' } },
      ].map(({ path, headers }) => request(hub.port, 'GET', path, { headers: { ...handshake, ...headers } })),
    );
    assert.deepEqual(
      answers.map((answer) => `${answer.status} ${codeOf(answer)}`),
      ['401 unauthorized', '400 bad_channel', '403 origin_not_allowed', '426 upgrade_required'],
    );
    const client = await connect(hub, `room?token=${good}`, { headers: own });
    client.send('let in');
    assert.equal(await client.next(), 'let in');

    const { samples } = await freshScrape(hub);
    const rejected = (reason: string) =>
      sum(samples, 'wshub_connections_rejected_total', `reason="${reason}"`);
    const codes = ['unauthorized', 'forbidden', 'origin_not_allowed', 'bad_channel', 'upgrade_required'];
    assert.deepEqual(codes.map(rejected), [5, 1, 1, 1, 1]);
    assert.equal(sum(samples, 'wshub_connections_opened_total'), 1);
    assert.equal(sum(samples, 'wshub_connections'), 1);
    assert.equal(sum(samples, 'wshub_messages_received_total'), 1);
    await client.close();
  });

  it('gets a close code for a limit or an unavailable hub', async (t) => {
    const perAddress = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS_PER_ADDRESS: '1' } });
    const first = await connect(perAddress, 'room');
    await assertTold(page(perAddress, 'room'), 4102, 'too_many_connections');
    await first.close();

    const full = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS: '1' } });
    const only = await connect(full, 'room');
    await assertTold(page(full, 'room'), 1013, 'overloaded');
    await only.close();

    const channels = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CHANNELS: '1' } });
    const one = await connect(channels, 'room');
    await assertTold(page(channels, 'another'), 1013, 'overloaded');
    await one.close();
  });

  it('gets a close code if too many pages connect at once', async (t) => {
    for (const [setting, told] of [
      ['WSHUB_CONNECT_RATE_PER_ADDRESS', { status: 'disconnected', reason: 'rate_limited', code: 4102 }],
      ['WSHUB_CONNECT_RATE', { status: 'disconnected', reason: 'overloaded', code: 1013 }],
    ] as const) {
      const hub = await hubFor(t, { workers: 1, env: { [setting]: '1' } });
      const clients = Array.from({ length: 100 }, () => page(hub, 'room'));
      const answers = (await Promise.all(clients.map((client) => client.next()))) as { status: string }[];
      const refused = answers.filter(({ status }) => status !== 'connected');
      assert.ok(refused.length > 0, setting);
      for (const answer of refused) assert.deepEqual(answer, told);
      for (const { ws } of clients) ws.terminate();
    }
  });

  it('is refused over HTTP while 256 others have not answered their close', async (t) => {
    const hub = await hubWithTokens(t);
    const lines = Object.entries({ host: '127.0.0.1', ...own, ...handshake });
    const head = ['GET /room HTTP/1.1', ...lines.map(([name, value]) => `${name}: ${value}`), '', ''];
    const come = async () => {
      const { socket } = await openSocket(hub.port);
      const status = new Promise<string>((resolve) => {
        socket.once('data', (chunk: Buffer) => {
          resolve(chunk.toString('latin1', 9, 12));
        });
      });
      socket.write(head.join('\r\n'));
      return { socket, status: await status };
    };
    const all = await Promise.all(Array.from({ length: 300 }, come));
    const statuses = all.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [...Array<string>(256).fill('101'), ...Array<string>(44).fill('401')]);
    for (const { socket } of all) socket.destroy();
    const next = await eventually(async () => {
      const { socket, status } = await come();
      socket.destroy();
      return status === '101' ? status : undefined;
    }, 'room for one more');
    assert.equal(next, '101');
  });
});
