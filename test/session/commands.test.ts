/** The commands of the Centrifugal protocol as they stand on the wire: replies, errors, order, limits, disconnects. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { codeOf, connect, handshake, hubFor, request, startHub, type HubProcess } from '../support.ts';
import { path, Wire } from './wire.ts';

const namespaces = JSON.stringify([
  { name: 'h', historySize: 5, historyTtl: '300s', presence: true },
  { name: 'quiet', echo: false, clientPublish: false },
]);

describe('sessions on the wire', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({
      env: { WSHUB_NAMESPACES: namespaces, WSHUB_MAX_CHANNELS: '400', WSHUB_STRICT_NAMESPACES: 'true' },
    });
  });
  after(() => hub.end());

  it('answer connect first, with an id, the version and the ping interval', async () => {
    const wire = await Wire.open(hub);
    wire.say({ id: 7, connect: { name: 'js' } }, { id: 8, subscribe: { channel: 'first', flag: 1 } });
    const [connected, subscribed] = await wire.lines(2);
    const { client, version, ...rest } = connected?.['connect'] as Record<string, unknown>;
    assert.match(String(client), /^[\w-]{22}$/);
    assert.match(String(version), /^wshub \d/);
    assert.deepEqual(rest, { ping: 30, pong: true });
    assert.equal(connected?.['id'], 7);
    assert.deepEqual(subscribed, { id: 8, subscribe: {} });
    await wire.close();
  });

  it('leave zero values out, but for a few that SDKs read', async () => {
    const wire = await Wire.connect(hub);
    const { subscribe } = await wire.ask({ id: 2, subscribe: { channel: 'h:zero' } });
    const { epoch, ...rest } = subscribe as Record<string, unknown>;
    assert.match(String(epoch), /^[\w-]+$/);
    assert.deepEqual(rest, { recoverable: true, positioned: true });
    assert.deepEqual(await wire.ask({ id: 3, history: { channel: 'h:zero', limit: 5 } }), {
      id: 3,
      history: { publications: [], epoch, offset: 0 },
    });
    assert.deepEqual(await wire.ask({ id: 4, unsubscribe: { channel: 'h:zero' } }), {
      id: 4,
      unsubscribe: {},
    });
    assert.deepEqual(await wire.ask({ id: 5, unsubscribe: { channel: 'never' } }), {
      id: 5,
      unsubscribe: {},
    });
    await wire.close();
  });

  it('refuse commands with the codes of the protocol', async () => {
    const wire = await Wire.connect(hub);
    const refusals: [command: Record<string, unknown>, code: number][] = [
      [{ subscribe: { channel: 'nowhere:x' } }, 102],
      [{ subscribe: { channel: 'x'.repeat(256) } }, 107],
      [{ subscribe: { channel: 'a', type: 1 } }, 108],
      [{ subscribe: { channel: 'a', tf: { op: 'and' } } }, 107],
      [{ subscribe: { channel: 'a', delta: 'other' } }, 107],
      [{ publish: { channel: 'a' } }, 107],
      [{ publish: { channel: 'quiet:a', data: 1 } }, 103],
      [{ publish: { channel: 'a', data: { status: 'connected' } } }, 107],
      [{ publish: { channel: 'a', data: 'x'.repeat(70_000) } }, 106],
      [{ history: { channel: 'a' } }, 108],
      [{ history: { channel: 'h:a', reverse: true, since: { offset: 0, epoch: 'x' }, limit: 1 } }, 107],
      [{ history: { channel: 'h:a', since: { offset: 1, epoch: 'other' }, limit: 1 } }, 112],
      [{ presence: { channel: 'a' } }, 108],
      [{ presence_stats: { channel: 'a' } }, 108],
      [{ rpc: { method: 'x' } }, 108],
      [{ ping: {} }, 108],
      [{ sub_refresh: { channel: 'a', token: 'x' } }, 103],
      [{ subscribe: { channel: 'h:a', recover: true, epoch: 'other', offset: 3, flag: 2 } }, 112],
    ];
    for (const [index, [command, code]] of refusals.entries()) {
      const id = index + 2;
      const reply = await wire.ask({ id, ...command });
      assert.equal(
        (reply['error'] as { code?: number } | undefined)?.code,
        code,
        JSON.stringify([command, reply]),
      );
      assert.equal(reply['id'], id);
    }
    await wire.close();
  });

  it('disconnect clients that break the protocol', async () => {
    const connected = { id: 1, connect: {} };
    const breaches: [frames: (string | Buffer)[], code: number][] = [
      [[''], 3501],
      [['\n'], 3501],
      [['{}\n\n{}'], 3501],
      [['nonsense'], 3501],
      [['[]'], 3501],
      [['{"id":-1,"connect":{}}'], 3501],
      [['{"id":1,"connect":[]}'], 3501],
      [['{"id":1,"connect":{"token":1}}'], 3501],
      [[Buffer.from(JSON.stringify(connected))], 3501],
      [[JSON.stringify({ id: 1, subscribe: { channel: 'x' } })], 3501],
      [[JSON.stringify(connected), JSON.stringify({ ...connected, id: 2 })], 3501],
      [[JSON.stringify(connected), '{"id":2,"subscribe":{"channel":""}}'], 3501],
      [[JSON.stringify(connected), '{"send":{"data":{"type":"x"}}}'], 3508],
      [['x'.repeat(300_000)], 1009],
    ];
    for (const [frames, code] of breaches) {
      const wire = await Wire.open(hub);
      for (const frame of frames) wire.ws.send(frame);
      const { code: got, reason } = await wire.end();
      assert.equal(got, code, JSON.stringify(frames).slice(0, 100));
      assert.throws(() => JSON.parse(reason) as unknown, 'SDKs read a reason that is JSON differently');
    }
  });

  it('take pongs, blank lines at the end, unknown fields and null', async () => {
    const wire = await Wire.open(hub);
    wire.ws.send('{"id":1,"connect":{"token":null,"data":null,"else":1}}\n');
    assert.ok((await wire.line())['connect']);
    wire.ws.send('{}\n{}\n');
    assert.deepEqual(await wire.ask({ id: 2, subscribe: { channel: 'pongs', data: null } }), {
      id: 2,
      subscribe: {},
    });
    await wire.close();
  });

  it('deliver data byte for byte, between both protocols', async () => {
    const wire = await Wire.connect(hub);
    await wire.ask({ id: 2, subscribe: { channel: 'bytes' } });
    const plain = await connect(hub, 'bytes');
    const exact = '{"n": 12345678901234567890, "s":"\\u00e9\\n"}';
    wire.ws.send(`{"id":3,"publish":{"channel":"bytes","data":${exact}}}`);
    const [first, second] = await wire.lines(2);
    assert.deepEqual([first?.['id'] ?? second?.['id']], [3]);
    await plain.take(1);
    assert.equal(plain.received.at(-1), exact);
    plain.ws.send('{"a":\n1}');
    assert.deepEqual(await wire.line(), { push: { channel: 'bytes', pub: { data: { a: 1 } } } });
    await Promise.all([wire.close(), plain.close()]);
  });

  it('order a publication after the reply to its subscription, and none after the unsubscription', async () => {
    const wire = await Wire.connect(hub);
    wire.say(
      { id: 2, subscribe: { channel: 'h:order' } },
      { id: 3, publish: { channel: 'h:order', data: 1 } },
      { id: 4, unsubscribe: { channel: 'h:order' } },
      { id: 5, publish: { channel: 'h:order', data: 2 } },
      { id: 6, history: { channel: 'h:order', limit: 1, reverse: true } },
    );
    const lines = await wire.lines(4);
    const last = await (async () => {
      for (;;) {
        const line = await wire.line();
        lines.push(line);
        if (line['id'] === 6) return line;
      }
    })();
    assert.equal(lines[0]?.['id'], 2);
    const ended = lines.findIndex(({ id }) => id === 4);
    assert.deepEqual(
      lines.slice(ended).filter(({ push }) => push),
      [],
    );
    assert.ok((last['history'] as { offset: number }).offset >= 1);
    await wire.close();
  });

  it('answer a subscription and its end, both in flight', async () => {
    const wire = await Wire.connect(hub);
    for (let round = 0; round < 20; round += 1) {
      const channel = `h:flight-${round}`;
      wire.say({ id: 2, subscribe: { channel } }, { id: 3, unsubscribe: { channel } });
      const [first, second] = await wire.lines(2);
      assert.ok(first?.['subscribe'], JSON.stringify(first));
      assert.deepEqual(second, { id: 3, unsubscribe: {} });
    }
    await wire.close();
  });

  it('answer a second subscription with the present state, once and with every publication once', async () => {
    const wire = await Wire.connect(hub);
    await wire.ask({ id: 2, subscribe: { channel: 'h:twice' } });
    wire.say({ id: 3, publish: { channel: 'h:twice', data: 1 } });
    await wire.lines(2);
    const again = await wire.ask({ id: 4, subscribe: { channel: 'h:twice' } });
    assert.equal((again['subscribe'] as { offset?: number }).offset, 1);
    wire.say(
      { id: 5, publish: { channel: 'h:twice', data: 2 } },
      { id: 6, presence_stats: { channel: 'h:twice' } },
    );
    const lines = await wire.lines(3);
    assert.equal(lines.filter(({ push }) => push).length, 1);
    assert.deepEqual(lines.find(({ id }) => id === 6)?.['presence_stats'], { num_clients: 1, num_users: 1 });
    await wire.close();
  });

  it('take 128 subscriptions in the first frame, and refuse one more', async () => {
    const wire = await Wire.open(hub);
    const subscribes = Array.from({ length: 129 }, (_, index) => ({
      id: index + 2,
      subscribe: { channel: `many-${index}`, token: 'x'.repeat(500) },
    }));
    wire.say({ id: 1, connect: {} }, ...subscribes);
    const lines = await wire.lines(130);
    assert.ok(lines[0]?.['connect']);
    const refused = lines.filter(({ error }) => error);
    assert.deepEqual(refused, [{ id: 130, error: { code: 106, message: 'limit exceeded' } }]);
    await wire.close();
  });

  it('are refused on the plain protocol by their paths, and plain names stay', async () => {
    for (const name of [path, 'connection/x', 'emulation', 'api/x', 'console', 'admin/x']) {
      const headers = {
        ...handshake,
        ...(name === path && { upgrade: 'websocket', 'sec-websocket-key': 'x' }),
      };
      const answer = await request(hub.port, 'GET', `/${name}`, { headers });
      assert.equal(answer.status, 400, name);
      if (name !== path) assert.equal(codeOf(answer), 'bad_channel', name);
    }
    const plain = await connect(hub, 'connections');
    await plain.close();
  });

  it('take an empty subprotocol header as none, answer their own, and no other', async () => {
    const headers = { ...handshake, 'sec-websocket-protocol': '' };
    const empty = await request(hub.port, 'GET', `/${path}`, { headers });
    assert.equal(empty.status, 101);
    assert.equal(empty.headers['sec-websocket-protocol'], undefined);
    const json = await request(hub.port, 'GET', `/${path}?cf_protocol_version=v2`, {
      headers: { ...headers, 'sec-websocket-protocol': 'other, centrifuge-json' },
    });
    assert.equal(json.headers['sec-websocket-protocol'], 'centrifuge-json');
    const other = await request(hub.port, 'GET', `/${path}`, {
      headers: { ...headers, 'sec-websocket-protocol': 'bearer, x' },
    });
    assert.equal(other.headers['sec-websocket-protocol'], undefined);
  });
});

describe('limits of sessions', () => {
  it('answer thousands of commands in a few frames, in order, while reading one history at a time', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_NAMESPACES: namespaces } });
    const wire = await Wire.connect(hub);
    const count = 3_000;
    const ask = (n: number) => ({ id: n + 2, history: { channel: 'h:flood', limit: -1 } });
    for (let sent = 0; sent < count; sent += 1_000) {
      wire.say(...Array.from({ length: 1_000 }, (_, n) => ask(sent + n)));
    }
    const lines = await wire.lines(count);
    assert.deepEqual(
      lines.map(({ id }) => id),
      Array.from({ length: count }, (_, n) => n + 2),
    );
    await wire.close();
  });

  it('stop reading from a client whose commands wait for the broker, and answer them all', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_NAMESPACES: namespaces } });
    const broker = Number(hub.log.find(({ msg }) => msg === 'broker ready')?.['brokerPid']);
    const wire = await Wire.connect(hub);
    process.kill(broker, 'SIGSTOP');
    wire.say({ id: 2, subscribe: { channel: 'h:late' } });
    for (let n = 0; n < 500; n += 1) wire.say({ id: 3 + n, publish: { channel: 'h:late', data: n } });
    const [failed] = await wire.lines(1);
    assert.deepEqual(failed, {
      id: 2,
      error: { code: 100, message: 'internal server error', temporary: true },
    });
    process.kill(broker, 'SIGCONT');
    const replies = await wire.lines(500);
    assert.equal(replies.filter(({ publish }) => publish).length, 500);
    await wire.close();
  });

  it('answer 111 over the rate, and close with 3013 when it goes on', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_MESSAGE_RATE: '1', WSHUB_MESSAGE_BURST: '3' },
    });
    const wire = await Wire.connect(hub);
    const floods = setInterval(() => {
      wire.say({ id: 9, rpc: { method: 'x' } });
    }, 100);
    t.after(() => {
      clearInterval(floods);
    });
    for (;;) {
      const { error } = (await wire.line()) as { error?: { code: number; temporary?: boolean } };
      if (error?.code === 108) continue;
      assert.deepEqual(error, { code: 111, message: 'too many requests', temporary: true });
      break;
    }
    assert.equal((await wire.end()).code, 3013);
  });

  it('close a client with too many commands in one message', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MESSAGE_RATE: '10', WSHUB_MESSAGE_BURST: '50' } });
    const wire = await Wire.connect(hub);
    wire.ws.send('{}\n'.repeat(80_000));
    assert.deepEqual(await wire.end(), { code: 3013, reason: 'rate_limited' });
  });

  it('close a client that does not connect with 3502, and one that does not answer pings with 3012', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_HANDSHAKE_TIMEOUT_MS: '300', WSHUB_PING_INTERVAL_MS: '300' },
    });
    const silent = await Wire.open(hub);
    assert.deepEqual(await silent.end(), { code: 3502, reason: 'stale' });
    const mute = await Wire.connect(hub);
    assert.deepEqual(await mute.end(), { code: 3012, reason: 'no pong' });
    assert.deepEqual(mute.received.slice(1), ['{}']);
  });

  it('tell clients over the connection limit to come back later', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS: '1' } });
    const first = await Wire.connect(hub);
    const second = await Wire.open(hub);
    assert.equal((await second.end()).code, 3013);
    assert.deepEqual(second.received, []);
    await first.close();
  });
});
