/** Server-sent events on the channel's URL, over running hubs. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT, type JWTPayload } from 'jose';
import { EventSourceClient, openStream, type Connected } from '../event-source.ts';
import { counted } from '../metrics/exposition.ts';
import {
  codeOf,
  connect,
  connectWhere,
  eventually,
  hubFor,
  openSocket,
  request,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const chat = { name: 'chat', historySize: 50, historyTtl: '1h' };
const namespaces = JSON.stringify([chat]);
const env = { WSHUB_NAMESPACES: namespaces, WSHUB_STOP_SPREAD_MS: '0', WSHUB_DRAIN_SPREAD_MS: '0' };
const stream = { accept: 'text/event-stream' };
const secret = 'a secret of the tests, long enough';

function signed(claims: JWTPayload): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
}

function secretFile(t: Parameters<typeof temporaryFolder>[0]): string {
  const file = join(temporaryFolder(t), 'secret');
  writeFileSync(file, secret);
  return file;
}

const publish = (hub: HubProcess, data: unknown, channel = 'chat:room') =>
  hub.admin('POST', `/channels/${channel}/messages`, { body: JSON.stringify(data) });

const resumed = (id: string) => ({ 'last-event-id': id });

async function openWhere(
  hub: HubProcess,
  path: string,
  wanted: (workerId: string) => boolean,
): Promise<[EventSourceClient, Connected]> {
  for (;;) {
    const opened = await openStream(hub, path);
    if (wanted(opened[1].workerId)) return opened;
    opened[0].close();
  }
}

/** Reads the event with which the hub closes a stream, and its end. */
async function closeOf(client: EventSourceClient): Promise<unknown> {
  for (;;) {
    const { event, data, id } = await client.next();
    if (event !== 'disconnected') continue;
    const { status, ...rest } = JSON.parse(data) as { status: string };
    assert.equal(status, 'disconnected');
    await client.end();
    return { ...rest, id };
  }
}

describe('an event stream', () => {
  it('gets connected, then every message of its channel with its position, on either worker', async (t) => {
    const hub = await hubFor(t, { env });
    const [one, first] = await openStream(hub, 'chat:room');
    const [other, second] = await openWhere(hub, 'chat:room', (workerId) => workerId !== first.workerId);
    const [wrapped] = await openStream(hub, 'chat:room?envelope=true');
    assert.equal(one.status, 200);
    assert.deepEqual(
      ['content-type', 'cache-control', 'x-accel-buffering', 'content-encoding', 'vary'].map(
        (name) => one.headers[name],
      ),
      ['text/event-stream', 'no-cache, no-transform', 'no', undefined, 'Origin'],
    );
    assert.deepEqual([first.channel, first.id], ['chat:room', `${first.epoch}:0`]);
    assert.equal(second.recovered, undefined);
    const sender = await connect(hub, 'chat:room');
    sender.send({ n: 1 });
    await hub.admin('POST', '/channels/chat:room/messages', { body: '{"a":\n1,\r\n"b":\r2}' });
    for (const client of [one, other]) {
      const [message, broken] = [await client.next(), await client.next()];
      assert.deepEqual(message, { event: 'message', data: '{"n":1}', id: `${first.epoch}:1` });
      assert.deepEqual(JSON.parse(broken.data), { a: 1, b: 2 });
      assert.equal(broken.id, `${first.epoch}:2`);
    }
    const [envelope] = (await wrapped.take(1)) as { data: unknown; connectionId: string }[];
    assert.deepEqual([envelope?.data, envelope?.connectionId], [{ n: 1 }, sender.connectionId]);
    const [late] = await openStream(hub, 'chat:room?history=1');
    assert.deepEqual(await late.take(1), [{ a: 1, b: 2 }]);
  });

  it('has no ids on a channel without history, and ignores one that it is given', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const [client, connected] = await openStream(hub, 'room', resumed('other:7'));
    assert.deepEqual([connected.epoch, connected.recovered, connected.id], [undefined, undefined, '']);
    await publish(hub, 1, 'room');
    assert.deepEqual(await client.next(), { event: 'message', data: '1', id: '' });
  });

  it('resumes with Last-Event-ID after the death of its worker', async (t) => {
    const hub = await hubFor(t, { env });
    const [client, { workerId, epoch }] = await openStream(hub, 'chat:room');
    await publish(hub, 1);
    const { id } = await client.next();
    process.kill(hub.pidOf(workerId), 'SIGKILL');
    await client.end();
    for (const n of [2, 3]) {
      await eventually(async () => ((await publish(hub, n)).status === 202 ? n : undefined), 'a publication');
    }
    const [again, connected] = await openStream(hub, `chat:room?since=${epoch}:0`, resumed(id));
    assert.deepEqual([connected.recovered, connected.id], [true, id]);
    assert.deepEqual(await again.take(2), [2, 3]);
    const [, unknown] = await openStream(hub, 'chat:room', resumed('other:1'));
    assert.deepEqual([unknown.recovered, unknown.id], [false, `${epoch}:3`]);
    await counted(hub, 'wshub_resumes_total', 'result="recovered"');
  });

  it('resumes after a restart of the hub', async (t) => {
    const settings = { ...env, WSHUB_STATE_DIR: temporaryFolder(t) };
    const before = await startHub({ workers: 1, env: settings });
    const [client] = await openStream(before, 'chat:room');
    for (const n of [1, 2, 3]) await publish(before, n);
    const { id } = await client.next();
    await before.end();
    const hub = await hubFor(t, { workers: 1, env: settings });
    const [again, connected] = await openStream(hub, 'chat:room', resumed(id));
    assert.equal(connected.recovered, true);
    assert.deepEqual(await again.take(2), [2, 3]);
  });

  it('stays open for any time, with heartbeats, and is gone when the client closes it', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: {
        WSHUB_PING_INTERVAL_MS: '1500',
        WSHUB_ANSWER_TIMEOUT_MS: '5000',
        WSHUB_HANDSHAKE_TIMEOUT_MS: '5000',
      },
    });
    const [client, { connectionId }] = await openStream(hub, 'room');
    await client.until(() => client.comments >= 5, 'five heartbeats');
    await publish(hub, 'still here', 'room');
    assert.deepEqual(await client.take(1), ['still here']);
    client.close();
    await hub.logged('connection closed', { connectionId, reason: 'client' });
    assert.equal((await hub.admin('GET', '/channels/room')).status, 404);
  });

  it('is closed with 4100 where it reads too slowly, at no cost to others', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { ...env, WSHUB_OUTBOX_MAX_BYTES: '262144', WSHUB_CLOSE_TIMEOUT_MS: '9000' },
    });
    const [stalled] = await openStream(hub, 'chat:room');
    const [reader] = await openStream(hub, 'chat:room');
    stalled.response?.pause();
    const members = async () =>
      ((await hub.admin('GET', '/channels/chat:room')).body as { total: number }).total;
    let sent = 0;
    while ((await members()) === 2) {
      const data = { n: (sent += 1), filler: 'x'.repeat(32_768) };
      await publish(hub, data);
      assert.deepEqual(await reader.take(1), [data]);
    }
    stalled.response?.resume();
    const { id: lastId, ...close } = (await closeOf(stalled)) as { id: string };
    assert.deepEqual(close, { reason: 'slow_consumer', code: 4100 });
    await counted(hub, 'wshub_connections_closed_total', 'reason="slow_consumer"');
    const got = stalled.events.filter(({ event }) => event === 'message').length;
    assert.ok(lastId.endsWith(`:${got}`), `${lastId} after ${got} messages`);
  });

  it('is drained with a random time to come back, and does not hold up a reload', async (t) => {
    const hub = await hubFor(t, { env });
    const [client] = await openStream(hub, 'chat:room');
    const pace = client.retryMs ?? 0;
    assert.ok(pace >= 1_000 && pace <= 4_000, `${pace}`);
    const [{ id }] = [await publish(hub, 1).then(() => client.next())];
    hub.signal('SIGHUP');
    const draining = await client.next();
    assert.equal(draining.event, 'draining');
    const { reconnect } = JSON.parse(draining.data) as { reconnect: { minMs: number; maxMs: number } };
    assert.deepEqual(await closeOf(client), { reason: 'restarting', code: 1012, id });
    const { retryMs = -1 } = client;
    assert.ok(retryMs >= reconnect.minMs && retryMs <= reconnect.maxMs, `${retryMs}`);
    await hub.logged('reload done');
    assert.ok(!hub.log.some(({ msg }) => msg === 'drain deadline reached'));
    const [, connected] = await openStream(hub, 'chat:room', resumed(id));
    assert.equal(connected.recovered, true);
  });

  it('is ended by admin actions, and an EventSource that comes back gets 204', async (t) => {
    const hub = await hubFor(t, { env });
    const [client, { connectionId }] = await openStream(hub, 'chat:room');
    assert.equal((await hub.admin('DELETE', `/connections/${connectionId}`)).status, 200);
    assert.deepEqual(await closeOf(client), { reason: 'connection_killed', code: 4000, id: 'closed=4000' });
    const [other] = await openStream(hub, 'room');
    await hub.admin('DELETE', '/channels/room');
    assert.deepEqual(await closeOf(other), { reason: 'channel_deleted', code: 4001, id: 'closed=4001' });
    const back = await new EventSourceClient(hub.port, 'room', resumed('closed=4001')).answered();
    assert.equal(back.status, 204);
  });

  it('is told the code with which a handler closes it', async (t) => {
    const file = join(temporaryFolder(t), 'handlers.mjs');
    writeFileSync(
      file,
      `export default { onConnect: ({ connection, channel, query }) => {
        connection.send({ hello: channel });
        if (channel === 'closed') connection.close(4711, 'not you');
      } };`,
    );
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: file } });
    const [greeted] = await openStream(hub, 'room');
    assert.deepEqual(await greeted.take(1), [{ hello: 'room' }]);
    const [closed] = await openStream(hub, 'closed');
    assert.deepEqual(await closeOf(closed), { reason: 'not you', code: 4711, id: '' });
  });
});

describe('a request for an event stream', () => {
  it('needs the token of a WebSocket, and browsers are told why they are refused', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWT_SECRET_FILE: secretFile(t) } });
    const token = await signed({ channels: [{ name: 'room', can: ['subscribe'] }] });
    for (const [path, headers] of [
      [`room?token=${token}`, {}],
      ['room', { authorization: `Bearer ${token}` }],
    ] as const) {
      (await openStream(hub, path, headers))[0].close();
    }
    const refused = await request(hub.port, 'GET', '/room', { headers: stream });
    assert.deepEqual([refused.status, codeOf(refused)], [401, 'unauthorized']);
    const own = { origin: 'http://127.0.0.1' };
    const page = new EventSourceClient(hub.port, 'room', own);
    assert.deepEqual(await closeOf(page), { reason: 'unauthorized', code: 4004, id: 'closed=4004' });
    assert.equal(page.headers['access-control-allow-origin'], own.origin);
    const foreign = new EventSourceClient(hub.port, `other?token=${token}`, { 'user-agent': 'Mozilla/5.0' });
    assert.deepEqual(await closeOf(foreign), { reason: 'forbidden', code: 4002, id: 'closed=4002' });
    await counted(hub, 'wshub_connections_rejected_total', 'reason="unauthorized"');
  });

  it('ends with its token, with a code that lets it come back', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_JWT_SECRET_FILE: secretFile(t) } });
    const exp = Math.floor(Date.now() / 1000) + 8;
    const token = await signed({ exp, channels: [{ name: 'chat:*', can: ['subscribe'] }] });
    const [client, { id }] = await openStream(hub, `chat:room?token=${token}`);
    assert.deepEqual(await closeOf(client), { reason: 'token_expired', code: 4103, id });
  });

  it('counts towards the limit of its address until it is closed', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_MAX_CONNECTIONS_PER_ADDRESS: '2' } });
    const [one] = await openStream(hub, 'chat:room');
    const two = await connect(hub, 'chat:room');
    const refused = await request(hub.port, 'GET', '/chat:room', { headers: stream });
    assert.deepEqual([refused.status, codeOf(refused)], [429, 'too_many_connections']);
    const page = new EventSourceClient(hub.port, 'chat:room', { 'user-agent': 'Mozilla/5.0' });
    assert.deepEqual(await closeOf(page), { reason: 'too_many_connections', code: 4102, id: '' });
    assert.ok((page.retryMs ?? 0) >= 1_000, `${page.retryMs}`);
    one.close();
    await eventually(async () => {
      const client = await new EventSourceClient(hub.port, 'chat:room').answered();
      return client.status === 200 ? true : undefined;
    }, 'the place of the one that left');
    await two.close();
  });

  it('is answered to pages of allowed origins only', async (t) => {
    const allowed = 'https://app.example';
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ALLOWED_ORIGINS: allowed } });
    const [client] = await openStream(hub, 'room', { origin: allowed });
    const cors = ['access-control-allow-origin', 'vary'];
    assert.deepEqual(
      cors.map((name) => client.headers[name]),
      [allowed, 'Origin'],
    );
    const evil = { origin: 'https://evil.example' };
    const refused = await request(hub.port, 'GET', '/room', { headers: { ...stream, ...evil } });
    assert.deepEqual([refused.status, codeOf(refused)], [403, 'origin_not_allowed']);
    assert.deepEqual(
      cors.map((name) => refused.headers[name]),
      [undefined, 'Origin'],
    );
    const opaque = { 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' };
    const hidden = await request(hub.port, 'GET', '/room', { headers: { ...stream, ...opaque } });
    assert.deepEqual([hidden.status, codeOf(hidden)], [403, 'origin_not_allowed']);
    const ask = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' };
    const preflight = (origin: string, path = '/room') =>
      request(hub.port, 'OPTIONS', path, { headers: { origin, ...ask } });
    const yes = await preflight(allowed);
    assert.equal(yes.status, 204);
    assert.deepEqual(
      [...cors, 'access-control-allow-methods', 'access-control-allow-headers'].map(
        (name) => yes.headers[name],
      ),
      [allowed, 'Origin', 'GET', 'Authorization, Cache-Control, Last-Event-ID'],
    );
    const no = await preflight(evil.origin);
    assert.deepEqual([no.status, no.headers['access-control-allow-origin']], [403, undefined]);
    const admin = await preflight(allowed, '/state');
    assert.equal(admin.headers['access-control-allow-origin'], undefined);
  });

  it('is one only as GET that accepts the type, on paths without a route, with a valid query', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const get = async (path: string, headers: object, method = 'GET') => {
      const answer = await request(hub.port, method, path, { headers: { ...headers } });
      return `${answer.status} ${codeOf(answer) ?? ''}`.trim();
    };
    assert.deepEqual(
      [
        await get('/room', {}),
        await get('/room', { accept: '*/*' }),
        await get('/room', { accept: 'text/event-streams' }),
        await get('/room', stream, 'HEAD'),
        await get('/room', stream, 'POST'),
        await get('/state', stream),
        await get('/channels/room', stream),
        await get('/', stream),
        await get('/room?sinse=1', stream),
        await get('/room?history=1', stream),
        await get('/chat:room', { ...stream, ...resumed('nonsense') }),
      ],
      [
        '426 upgrade_required',
        '426 upgrade_required',
        '426 upgrade_required',
        '404',
        '404 not_found',
        '401 unauthorized',
        '401 unauthorized',
        '400 bad_channel',
        '400 bad_query',
        '400 bad_query',
        '400 bad_query',
      ],
    );
    const [both] = await openStream(hub, 'room', { accept: 'text/html, text/event-stream;q=0.9' });
    assert.equal(both.status, 200);
  });

  it('is refused behind a response that is not finished', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ANSWER_TIMEOUT_MS: '1000' } });
    const { socket, answer } = await openSocket(hub.port);
    const line = 'GET /room HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n';
    socket.write(line + line);
    const text = await answer;
    assert.equal(text.split('HTTP/1.1').length, 2, text);
    assert.match(text, /event: connected/);
    const ws = await connectWhere(hub, 'room', () => true);
    assert.equal((await hub.admin('GET', '/channels/room')).status, 200);
    await ws.close();
  });
});
