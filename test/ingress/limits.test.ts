/** The limits over real sockets: refusals with their codes, and clients that must be admitted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { socketLimits } from '../../src/platform/descriptors.ts';
import { leavesNothing, watched } from '../fuzz/resources.ts';
import { counted } from '../metrics/exposition.ts';
import {
  codeOf,
  connect,
  eventually,
  handshake,
  hubFor,
  openSocket,
  request,
  type Client,
  type HubProcess,
} from '../support.ts';

/** A handshake that must be refused: status and code. */
async function refused(hub: HubProcess, path: string, headers: Record<string, string> = {}) {
  const answer = await request(hub.port, 'GET', `/${path}`, { headers: { ...handshake, ...headers } });
  if (answer.status === 429 || answer.status === 503) {
    const seconds = Number(answer.headers['retry-after']);
    assert.ok(seconds >= 1 && seconds <= 10, `Retry-After: ${seconds}`);
  }
  return [answer.status, codeOf(answer)];
}

const codesOf = (messages: unknown[]) =>
  messages.map((body) => codeOf({ status: 0, headers: {}, body })).filter((code) => code !== undefined);

describe('connections', () => {
  it('are refused above the limit of a worker, and accepted again after a disconnect', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS: '3' } });
    const clients = await Promise.all([1, 2, 3].map(() => connect(hub, 'room')));
    assert.deepEqual(await refused(hub, 'room'), [503, 'overloaded']);
    // Handshakes that come to nothing give their place back.
    await clients[0]?.close();
    for (let i = 0; i < 5; i += 1) {
      const answer = await request(hub.port, 'GET', '/room', {
        headers: { ...handshake, 'sec-websocket-key': 'short' },
      });
      assert.equal(answer.status, 400);
    }
    const again = await connect(hub, 'room');
    assert.deepEqual(await refused(hub, 'room'), [503, 'overloaded']);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="overloaded"');
    await Promise.all([again, ...clients].map((client) => client.close()));
  });

  it('are refused above the limit of an address, and accepted from another one', async (t) => {
    const env = { WSHUB_MAX_CONNECTIONS_PER_ADDRESS: '2', WSHUB_TRUST_PROXY: '1' };
    const hub = await hubFor(t, { workers: 1, env });
    const from = (address: string) => ({ 'x-forwarded-for': address });
    const clients = [
      await connect(hub, 'room', { headers: from('2001:db8::1') }),
      await connect(hub, 'room', { headers: from('2001:db8::2') }),
    ];
    assert.deepEqual(await refused(hub, 'room', from('2001:db8::3')), [429, 'too_many_connections']);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="too_many_connections"');
    clients.push(await connect(hub, 'room', { headers: from('2001:db8:0:1::1') }));
    await Promise.all(clients.map((client) => client.close()));
  });

  it('above the rate are refused, from any address', async (t) => {
    const env = { WSHUB_CONNECT_RATE: '1', WSHUB_CONNECT_RATE_PER_ADDRESS: '0' };
    const hub = await hubFor(t, { workers: 1, env });
    const clients: Client[] = [];
    for (let i = 0; i < 5; i += 1) clients.push(await connect(hub, 'room'));
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => refused(hub, 'room').catch(() => undefined)),
    );
    assert.ok(answers.some((answer) => answer?.join() === '503,too_many_connects'));
    await counted(hub, 'wshub_connections_rejected_total', 'reason="too_many_connects"');
    await Promise.all(clients.map((client) => client.close()));
  });

  it('above the rate of one address are refused', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_CONNECT_RATE_PER_ADDRESS: '1' } });
    // Handshakes that are refused later count as well: the key is no key.
    const headers = { ...handshake, 'sec-websocket-key': 'short' };
    const codes = await Promise.all(
      Array.from({ length: 30 }, async () => codeOf(await request(hub.port, 'GET', '/room', { headers }))),
    );
    assert.ok(codes.includes('rate_limited'));
    assert.equal(codes.filter((code) => code === 'bad_request').length >= 5, true);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="rate_limited"');
  });

  it('that are refused before a check of the limits count towards the rate of their address', async (t) => {
    const env = {
      WSHUB_CONNECT_RATE_PER_ADDRESS: '1',
      WSHUB_TRUST_PROXY: '1',
      WSHUB_NAMESPACES: '[{"name":"chat"}]',
      WSHUB_STRICT_NAMESPACES: 'true',
    };
    const hub = await hubFor(t, { workers: 1, env });
    const events = { accept: 'text/event-stream' };
    for (const [index, [path, headers, code]] of (
      [
        ['room', { ...handshake, 'sec-websocket-version': '12' }, 'upgrade_required'],
        ['%ff', handshake, 'bad_channel'],
        ['room?since=1', handshake, 'bad_query'],
        ['room?since=1', events, 'bad_query'],
        ['other:1', handshake, 'unknown_namespace'],
      ] as const
    ).entries()) {
      const from = { ...headers, 'x-forwarded-for': `192.0.2.${index}` };
      const codes = await Promise.all(
        Array.from({ length: 30 }, async () =>
          codeOf(await request(hub.port, 'GET', `/${path}`, { headers: from })),
        ),
      );
      assert.deepEqual([...new Set(codes)].sort(), [code, 'rate_limited'].sort(), path);
    }
  });

  it('of pages that may not connect count towards the rate of their address', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_CONNECT_RATE_PER_ADDRESS: '1' } });
    const fromPage = () => refused(hub, 'room', { origin: 'https://other.example' });
    const answers = await Promise.all(Array.from({ length: 30 }, fromPage));
    assert.deepEqual([...new Set(answers.map(String))], ['403,origin_not_allowed']);
    // As many as may come at once; none would be refused without those of the page.
    const others = Array.from({ length: 5 }, () => refused(hub, 'room', { 'sec-websocket-version': '12' }));
    assert.ok((await Promise.all(others)).some(([, code]) => code === 'rate_limited'));
  });

  it('from one machine are accepted by the thousand with the defaults', async (t) => {
    const hub = await hubFor(t);
    const clients: Client[] = [];
    for (let i = 0; i < 30; i += 1) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => connect(hub, 'room')))));
    }
    assert.equal(clients.length, 3_000);
    for (const client of clients) client.ws.terminate();
    await eventually(async () => {
      const { body } = await hub.admin('GET', '/state');
      return (body as { totals: { connections: number } }).totals.connections === 0 ? true : undefined;
    }, 'the end of all connections');
  });
});

describe('socketLimits', () => {
  it('stays below the limit of descriptors, for any setting', () => {
    for (const descriptors of [80, 256, 1024, 20_000, 1_048_576]) {
      for (const wanted of [undefined, 10, 1e9]) {
        const { connections, sockets } = socketLimits(wanted, descriptors);
        assert.ok(connections < descriptors && sockets < descriptors, String(descriptors));
        assert.ok(connections >= 10 && connections < sockets);
      }
    }
    assert.equal(socketLimits(10, 1024).connections, 10);
    assert.ok(socketLimits(undefined, Infinity).connections > 100_000);
  });
});

describe('an unfinished handshake', () => {
  it('is closed after the timeout with no bytes, half a header, or a slow trickle of bytes', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...watched, WSHUB_HANDSHAKE_TIMEOUT_MS: '1000' } });
    const attack = async () => {
      const silent = await openSocket(hub.port);
      const half = await openSocket(hub.port);
      half.socket.write('GET /room HTTP/1.1\r\nHost: x\r\nX-A');
      const slow = await openSocket(hub.port);
      slow.socket.write('GET /room HTTP/1.1\r\n');
      const drip = setInterval(() => slow.socket.write('a'), 100);
      const answers = await Promise.all([silent.answer, half.answer, slow.answer]);
      clearInterval(drip);
      assert.match(answers[0], /^HTTP\/1\.1 408 .*"request_timeout"/s);
      assert.match(answers[1], /^HTTP\/1\.1 408 .*"request_timeout"/s);
      // A client that still writes may be reset before it has read the answer.
      assert.match(answers[2], /^(HTTP\/1\.1 (408|400) |$)/);
    };
    await leavesNothing(hub, () => Promise.all(Array.from({ length: 200 }, attack)));
    await counted(hub, 'wshub_connections_rejected_total', 'reason="request_timeout"');
    const client = await connect(hub, 'room');
    await client.close();
  });
});

describe('messages', () => {
  it('above the rate are refused one by one; after 5 s above it the connection is closed with 4101', async (t) => {
    const env = { WSHUB_MESSAGE_RATE: '20', WSHUB_MESSAGE_BURST: '20' };
    const hub = await hubFor(t, { workers: 1, env });
    const loud = await connect(hub, 'room?echo=false');
    const other = await connect(hub, 'room?echo=false');
    for (let n = 0; n < 100; n += 1) loud.send(n);
    const refusals = await eventually(
      () => (loud.received.length >= 50 ? codesOf(loud.rest()) : undefined),
      'refusals',
    );
    assert.ok(refusals.every((code) => code === 'rate_limited'));
    other.send('quiet');
    assert.equal(await loudFree(loud, 'quiet'), 'quiet');
    const flood = setInterval(() => {
      for (let n = 0; n < 10; n += 1) loud.send(n);
    }, 50);
    const { code } = await loud.end();
    clearInterval(flood);
    assert.equal(code, 4101);
    assert.equal(loud.received.at(-1), '{"status":"disconnected","reason":"rate_limited","code":4101}');
    await counted(hub, 'wshub_messages_dropped_total', 'reason="rate_limited"');
    await counted(hub, 'wshub_connections_closed_total', 'reason="rate_limited"');
    assert.equal(other.closed, undefined);
    await other.close();
  });

  it('above the byte rate are refused too', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_BYTE_RATE: '1000' } });
    const client = await connect(hub, 'room');
    client.send('x'.repeat(60_000));
    assert.equal(String(await client.next()).length, 60_000);
    client.send('y'.repeat(60_000));
    assert.deepEqual(codesOf([await client.next()]), ['rate_limited']);
    await counted(hub, 'wshub_messages_dropped_total', 'reason="rate_limited"');
    await client.close();
  });

  it('that are invalid close the connection with 1008 above their limit', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    const client = await connect(hub, 'room');
    for (let n = 0; n < 20; n += 1) client.ws.send(n % 2 === 0 ? '{' : Buffer.from('binary'));
    assert.deepEqual(await client.end(), { code: 1008, reason: 'policy_violation' });
    const messages = client.rest();
    assert.equal(codesOf(messages).length, 20);
    assert.deepEqual(messages.at(-1), { status: 'disconnected', reason: 'policy_violation', code: 1008 });
    await counted(hub, 'wshub_message_errors_total', 'reason="bad_json"');
    await counted(hub, 'wshub_message_errors_total', 'reason="binary_not_supported"');
    await counted(hub, 'wshub_connections_closed_total', 'reason="policy_violation"');
  });

  it('include pings and pongs: a flood of them is closed with 4101, and a ping is answered', async (t) => {
    const env = { WSHUB_MESSAGE_RATE: '20', WSHUB_MESSAGE_BURST: '20' };
    const hub = await hubFor(t, { workers: 1, env });
    for (const kind of ['ping', 'pong'] as const) {
      const client = await connect(hub, 'room');
      const pong = new Promise<Buffer>((resolve) => client.ws.once('pong', resolve));
      client.ws.ping('are you there?');
      assert.equal((await pong).toString(), 'are you there?');
      const flood = setInterval(() => {
        for (let n = 0; n < 20; n += 1) client.ws[kind]();
      }, 50);
      const { code } = await client.end();
      clearInterval(flood);
      assert.equal(code, 4101, kind);
    }
    await counted(hub, 'wshub_messages_dropped_total', 'reason="rate_limited"');
    await counted(hub, 'wshub_connections_closed_total', 'reason="rate_limited"');
  });
});

describe('channels', () => {
  it('above the limit of the hub are refused; existing ones accept clients', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_MAX_CHANNELS: '3' } });
    const clients = await Promise.all(['a', 'b', 'c'].map((name) => connect(hub, name)));
    for (let i = 0; i < 4; i += 1) {
      assert.deepEqual(await refused(hub, `new-${i}`), [503, 'too_many_channels']);
      clients.push(await connect(hub, 'b'));
    }
    await counted(hub, 'wshub_connections_rejected_total', 'reason="too_many_channels"');
    await Promise.all(clients.map((client) => client.close()));
    const entered = await eventually(
      () => connect(hub, 'new').catch(() => undefined),
      'a free place for a channel',
    );
    await entered.close();
  });
});

describe('the admin routes', () => {
  it('delay an address with too many wrong tokens', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ADMIN_FAILURE_LIMIT: '5' } });
    const headers = { authorization: 'Bearer guess' };
    for (const port of [hub.opsPort, hub.port]) {
      const statuses: number[] = [];
      for (let i = 0; i < 7; i += 1) {
        statuses.push((await request(port, 'GET', '/state', { headers })).status);
      }
      assert.deepEqual(statuses.slice(0, 5), [403, 403, 403, 403, 403]);
      assert.ok(statuses.includes(429));
    }
    // The right token must wait as well: otherwise a guess could be confirmed.
    const answer = await hub.admin('GET', '/state');
    assert.deepEqual([answer.status, codeOf(answer)], [429, 'rate_limited']);
    assert.match(String(answer.headers['retry-after']), /^\d+$/);
    await counted(hub, 'wshub_http_requests_total', 'code="429"', 'route="/state"');
  });

  it('read at most the size of a message from a body', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MAX_PAYLOAD: '1000' } });
    const body = JSON.stringify('x'.repeat(2_000));
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const answer = await hub.admin('POST', '/channels/room/messages', { body, headers });
      assert.deepEqual([answer.status, codeOf(answer)], [413, 'message_too_big']);
    }
    await counted(hub, 'wshub_http_requests_total', 'code="413"', 'route="/channels/:channel/messages"');
  });
});

/** Takes messages until the wanted one comes. */
async function loudFree(client: Client, wanted: unknown): Promise<unknown> {
  for (;;) {
    const message = await client.next();
    if (message === wanted) return message;
  }
}
