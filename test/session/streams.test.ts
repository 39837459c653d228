/** Sessions over HTTP streams: the JavaScript SDK over both kinds, and bare requests to any worker. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Centrifuge } from 'centrifuge';
import { Centrifuge as Protobuf } from 'centrifuge/build/protobuf';
import { SignJWT } from 'jose';
import { counted } from '../metrics/exposition.ts';
import {
  codeOf,
  connect,
  connectApart,
  hubFor,
  request,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';
import { LineStream, streamSdk } from './streams.ts';
import { dataOf, subscribed } from './wire.ts';

const namespaces = JSON.stringify([
  { name: 'h', historySize: 100, historyTtl: '300s', presence: true, joinLeave: true },
]);
const env = {
  WSHUB_NAMESPACES: namespaces,
  WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts'),
  WSHUB_ALLOWED_ORIGINS: 'https://app.example',
};

for (const transport of ['http_stream', 'sse'] as const) {
  describe(`the JavaScript SDK over ${transport}`, () => {
    let hub: HubProcess;
    before(async () => {
      hub = await startHub({ env });
    });
    after(() => hub.end());

    it('exchanges messages with plain clients of both workers, and reads history and presence', async (t) => {
      const { client } = streamSdk(t, hub, transport);
      client.connect();
      const { sub, events } = await subscribed(client, 'h:mixed');
      const plain = await connectApart(hub, 'h:mixed');
      await sub.publish({ from: 'sdk' });
      for (const one of plain) assert.deepEqual(await one.next(), { from: 'sdk' });
      plain[0].send({ text: 'with a line\nfeed' });
      const received = await events.until('publication', 2);
      assert.deepEqual(dataOf(received), [{ from: 'sdk' }, { text: 'with a line\nfeed' }]);
      const { publications } = await sub.history({ limit: 10 });
      assert.deepEqual(dataOf(publications as never), dataOf(received));
      assert.equal((await sub.presenceStats()).numClients, 3);
      assert.deepEqual(await client.rpc('add', [1, 2, 3]), { data: 6 });
      await events.until('join', 3);
      sub.unsubscribe();
      await sub.history({ limit: 1 }).catch(() => undefined);
      for (const one of plain) await one.close();
    });

    it('recovers what it missed', async (t) => {
      const { client, events: clientEvents } = streamSdk(t, hub, transport);
      client.connect();
      const { sub, events } = await subscribed(client, 'h:missed');
      await sub.publish(1);
      await events.until('publication');
      client.disconnect();
      await clientEvents.until('disconnected');
      for (const body of ['2', '3']) await hub.admin('POST', '/channels/h:missed/messages', { body });
      client.connect();
      assert.deepEqual(dataOf(await events.until('publication', 3)), [1, 2, 3]);
      assert.deepEqual(
        events.of('subscribed').map(({ wasRecovering, recovered }) => [wasRecovering, recovered]),
        [
          [false, false],
          [true, true],
        ],
      );
    });

    it('is told why it is disconnected', async (t) => {
      const { client, events } = streamSdk(t, hub, transport);
      client.connect();
      await client.ready(30_000);
      const id = events.of('connected')[0]?.['client'];
      assert.equal((await hub.admin('DELETE', `/connections/${String(id)}`)).status, 200);
      assert.deepEqual(await events.until('disconnected'), [{ code: 3503, reason: 'connection_killed' }]);
    });
  });
}

describe('the Protobuf bundle of the SDK over http_stream', () => {
  it('shares channels with JSON, and recovers', async (t) => {
    const hub = await hubFor(t, { env });
    const { client } = streamSdk(t, hub, 'http_stream', {}, Protobuf as unknown as typeof Centrifuge);
    client.connect();
    const { sub, events } = await subscribed(client, 'h:proto');
    const json = streamSdk(t, hub, 'http_stream');
    json.client.connect();
    const other = await subscribed(json.client, 'h:proto');
    await sub.publish(Buffer.from('{"from":"protobuf"}'));
    await other.sub.publish({ from: 'json' });
    const wanted = [{ from: 'protobuf' }, { from: 'json' }];
    assert.deepEqual(dataOf(await other.events.until('publication', 2)), wanted);
    const texts = dataOf(await events.until('publication', 2)).map((data) =>
      Buffer.from(data as Uint8Array).toString(),
    );
    assert.deepEqual(
      texts.map((text) => JSON.parse(text) as unknown),
      wanted,
    );
    assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 1 });
  });
});

describe('an HTTP stream', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env });
  });
  after(() => hub.end());

  it('gets its commands through either worker', async () => {
    const stream = await LineStream.connect(hub);
    const plain = await connect(hub, 'ways');
    let id = 1;
    for (const isSame of [true, false]) {
      const agent = await hub.publicConnection((workerId) => (workerId === stream.node) === isSame);
      id += 1;
      const answer = await stream.say([{ id, publish: { channel: 'ways', data: { isSame } } }], { agent });
      assert.equal(answer.status, 204);
      assert.deepEqual(await plain.next(), { isSame });
      assert.deepEqual((await stream.take(id))[id - 1], { id, publish: {} });
      agent.destroy();
    }
    await plain.close();
    stream.close();
  });

  it('is for the owner of its session only', async () => {
    const stream = await LineStream.connect(hub);
    const [other] = hub.workers.map(({ workerId }) => workerId).filter((id) => id !== stream.node);
    const publish = [{ id: 2, publish: { channel: 'x', data: 1 } }];
    for (const wrong of [
      { session: 'guessed' },
      { node: 'nowhere' },
      { node: other ?? '' },
      { session: '' },
    ]) {
      const answer = await stream.say(publish, wrong);
      assert.deepEqual([answer.status, codeOf(answer)], [404, 'not_found'], JSON.stringify(wrong));
    }
    stream.close();
    await stream.ended;
    const { status } = await stream.say(publish);
    assert.equal(status, 404);
  });

  it('needs a first command, and nothing else begins it', async () => {
    for (const [body, code] of [
      ['{"id":1,"publish":{"channel":"x","data":1}}', 3501],
      ['text', 3501],
      ['', 3501],
    ] as const) {
      const stream = await LineStream.open(hub, body);
      await stream.ended;
      assert.equal(disconnectOf(stream), code, body);
    }
    const sse = await request(hub.port, 'GET', '/connection/sse');
    assert.deepEqual([sse.status, codeOf(sse)], [400, 'bad_query']);
    for (const body of ['', '[]', '{"session":1}']) {
      assert.equal((await request(hub.port, 'POST', '/emulation', { body })).status, 400, body);
    }
    const huge = JSON.stringify({ session: 's', node: 'n', data: 'x'.repeat(300_000) });
    assert.equal((await request(hub.port, 'POST', '/emulation', { body: huge })).status, 413);
    assert.equal((await request(hub.port, 'GET', '/emulation')).status, 405);
  });

  it('is readable for pages of allowed origins, and not opened for others', async () => {
    const [allowed, other] = ['https://app.example', 'https://other.example'];
    const asked = {
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    };
    for (const path of ['/connection/http_stream', '/connection/sse', '/emulation']) {
      const preflight = (origin: string) =>
        request(hub.port, 'OPTIONS', path, { headers: { origin, ...asked } });
      const { status, headers } = await preflight(allowed);
      assert.equal(status, 204, path);
      assert.equal(headers['access-control-allow-origin'], allowed);
      assert.equal(headers['access-control-allow-credentials'], 'true');
      assert.equal(headers['access-control-allow-headers'], 'content-type');
      assert.equal((await preflight(other)).status, 403);
      const refused = await request(hub.port, 'POST', path, { headers: { origin: other }, body: '{}' });
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'origin_not_allowed']);
      assert.equal(refused.headers['access-control-allow-origin'], undefined);
    }
    const stream = await LineStream.open(hub, '{"id":1,"connect":{}}', { origin: allowed });
    assert.equal(stream.headers['access-control-allow-origin'], allowed);
    stream.close();
  });
});

describe('an HTTP stream of a client', () => {
  it('without a valid token ends with 3500, and stays open with one', async (t) => {
    const secret = randomBytes(32).toString('base64');
    const file = join(temporaryFolder(t), 'secret');
    writeFileSync(file, secret);
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWT_SECRET_FILE: file } });
    const wrong = await LineStream.open(hub, JSON.stringify({ id: 1, connect: { token: 'wrong' } }));
    await wrong.ended;
    assert.equal(disconnectOf(wrong), 3500);
    const token = await new SignJWT({ sub: 'anna', channels: [{ name: 'room', can: ['subscribe'] }] })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(secret));
    const { client } = streamSdk(t, hub, 'http_stream', { token });
    client.connect();
    await subscribed(client, 'room');
    await assert.rejects(client.publish('room', 1), { code: 103 });
  });

  it('that does not answer pings ends with 3012', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_PING_INTERVAL_MS: '300' } });
    const { client, events } = streamSdk(t, hub, 'http_stream');
    client.connect();
    await events.until('connected');
    const silent = await LineStream.connect(hub);
    await silent.ended;
    assert.equal(disconnectOf(silent), 3012);
    await assert.rejects(client.rpc('x', {}), { code: 108 });
    assert.equal(events.of('connected').length, 1, 'the SDK answers');
  });
});

/** The code of the disconnect that ended a stream. */
function disconnectOf(stream: LineStream): number | undefined {
  const push = stream.messages.of('message').at(-1)?.['push'] as
    { disconnect?: { code: number } } | undefined;
  return push?.disconnect?.code;
}

describe('the limits', () => {
  it('of connections hold for HTTP streams', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS: '1' } });
    const stream = await LineStream.connect(hub);
    const refused = await request(hub.port, 'POST', '/connection/http_stream', {
      body: '{"id":1,"connect":{}}',
    });
    assert.deepEqual([refused.status, codeOf(refused)], [503, 'overloaded']);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="overloaded"');
    stream.close();
  });

  it('of messages hold for HTTP streams', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MESSAGE_RATE: '1', WSHUB_MESSAGE_BURST: '5' } });
    const stream = await LineStream.connect(hub);
    const commands = Array.from({ length: 20 }, (_, n) => ({ id: n + 2, presence: { channel: 'x' } }));
    assert.equal((await stream.say(commands)).status, 204);
    const codes = (await stream.take(21)).slice(1).map(({ error }) => (error as { code: number }).code);
    assert.deepEqual([...new Set(codes)].sort(), [108, 111]);
    stream.close();
  });
});

describe('a drain', () => {
  it('moves the clients of HTTP streams to the new workers', async (t) => {
    const hub = await hubFor(t, { env: { ...env, WSHUB_DRAIN_SPREAD_MS: '0' } });
    const { client, events } = streamSdk(t, hub, 'http_stream');
    client.connect();
    const { events: told } = await subscribed(client, 'h:moving');
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    await events.until('connected', 2);
    await told.until('subscribed', 2);
    await hub.admin('POST', '/channels/h:moving/messages', { body: '"after the reload"' });
    assert.deepEqual(dataOf(await told.until('publication')), ['after the reload']);
    assert.equal(events.of('connecting').at(-1)?.['code'], 3001);
  });
});
