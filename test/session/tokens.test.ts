/** Tokens of the Centrifugal protocol, of connections and subscriptions: what they allow, how they end, how they are renewed. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SignJWT, type JWTPayload } from 'jose';
import {
  connect,
  handshake,
  hubFor,
  request,
  runCli,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';
import { connectSdk, dataOf, sdkFor, subscribed, Wire, type Message } from './wire.ts';

const secret = 'secret'; // as in the suites of the SDKs
const sign = (claims: JWTPayload, key = secret) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(key));
const now = () => Math.floor(Date.now() / 1000);
const rules = [{ name: 'room:*', can: ['subscribe', 'publish'] }];

const namespaces = JSON.stringify([
  { userLimited: true },
  { name: 'room', historySize: 10, historyTtl: '1h', presence: true, joinLeave: true },
  { name: 'limited', userLimited: true },
  { name: 'open', clientPublish: true },
]);

describe('tokens of sessions', () => {
  let hub: HubProcess;
  const keyFile = join(temporaryFolder({ after }), 'secret');
  writeFileSync(keyFile, secret);
  const env = {
    WSHUB_JWT_SECRET_FILE: keyFile,
    WSHUB_JWT_ALLOW_SHORT_SECRET: 'true',
    WSHUB_JWT_LEEWAY_MS: '0',
    WSHUB_NAMESPACES: namespaces,
    WSHUB_PERSONAL_CHANNEL: 'true',
  };
  before(async () => {
    hub = await startHub({ env });
  });
  after(() => hub.end());

  const connecting = async (claims: JWTPayload) => Wire.connect(hub, { token: await sign(claims) });
  const codeOf = ({ error }: Message) => (error as { code?: number } | undefined)?.code ?? 0;

  it('decide about connect', async () => {
    const cases: [token: string, code: number][] = [
      ['', 3501],
      ['nonsense', 3500],
      [await sign({ sub: 'anna' }, 'another'), 3500],
      [await sign({ sub: 'anna', channel: 'room:1' }), 3500],
      [await sign({ sub: 'anna', channels: 7 }), 3500],
    ];
    for (const [token, code] of cases) {
      const wire = await Wire.open(hub);
      wire.say({ id: 1, connect: { token } });
      assert.equal((await wire.end()).code, code, token);
    }
    const late = await Wire.open(hub);
    late.say(
      { id: 1, connect: { token: await sign({ sub: 'anna', exp: now() - 10 }) } },
      { id: 2, subscribe: { channel: 'room:1' } },
    );
    assert.deepEqual(await late.line(), { id: 1, error: { code: 109, message: 'token expired' } });
    late.say({ id: 3, subscribe: { channel: 'room:1' } });
    assert.equal(codeOf(await late.line()), 100);
    await late.close();
  });

  it('decide about each channel, and plain clients have the same rights', async () => {
    const wire = await connecting({ sub: '42', channels: rules });
    const subscribe = (channel: string, token?: string) =>
      wire.ask({ id: 2, subscribe: { channel, ...(token !== undefined && { token }) } });
    assert.equal(codeOf(await subscribe('other')), 103);
    assert.equal(codeOf(await subscribe('limited:a#7')), 103);
    assert.equal(codeOf(await subscribe('limited:a#7,42')), 0);
    assert.equal(codeOf(await subscribe('$limited:b')), 103);
    const own = (claims: JWTPayload) => sign({ sub: '42', ...claims });
    assert.equal(codeOf(await subscribe('$limited:b', await own({ channel: '$limited:b' }))), 0);
    assert.equal(codeOf(await subscribe('other', await sign({ channel: 'other' }, 'another'))), 103);
    assert.equal(codeOf(await subscribe('other', await own({ channel: 'other', exp: now() - 9 }))), 109);
    assert.equal(codeOf(await wire.ask({ id: 3, publish: { channel: 'other', data: 1 } })), 103);
    assert.equal(codeOf(await wire.ask({ id: 3, publish: { channel: 'open:x', data: 1 } })), 0);
    assert.equal(codeOf(await wire.ask({ id: 3, history: { channel: 'room:1' } })), 0);
    await wire.close();
    const plain = await connect(hub, `room:1?token=${await sign({ sub: '42', channels: rules })}`);
    await plain.close();
    const refused = await request(hub.port, 'GET', `/other?token=${await sign({ channels: rules })}`, {
      headers: handshake,
    });
    assert.equal(refused.status, 403);
  });

  it('disconnect a client with the subscription token of another one', async () => {
    const wrong: JWTPayload[] = [
      { sub: '42', channel: 'another' },
      { sub: '43', channel: 'x' },
      { sub: '42', channel: 'x', client: 'somebody' },
    ];
    for (const claims of wrong) {
      const wire = await connecting({ sub: '42' });
      wire.say({ id: 2, subscribe: { channel: 'x', token: await sign(claims) } });
      assert.equal((await wire.end()).code, 3500);
    }
  });

  it('subscribe the client to its channels before it is told that it is connected', async (t) => {
    const token = await sign({
      sub: '42',
      info: { name: 'Anna' },
      channels: ['room:token'],
      subs: { 'room:subs': { info: { seat: 7 }, data: { hello: 1 } } },
    });
    const { client, events } = await connectSdk(t, hub, { token });
    const channels = (await events.until('subscribed', 3)).map(({ channel }) => channel);
    assert.deepEqual(channels.sort(), ['#42', 'room:subs', 'room:token']);
    const data = events.of('subscribed').find(({ channel }) => channel === 'room:subs')?.['data'];
    assert.deepEqual(data, { hello: 1 });
    for (const channel of ['#42', 'room:token', 'room:subs']) {
      await hub.admin('POST', `/channels/${encodeURIComponent(channel)}/messages`, {
        body: JSON.stringify(channel),
      });
    }
    assert.deepEqual(dataOf(await events.until('publication', 3)).sort(), channels.sort());
    const joins = await events.until('join', 2);
    const seat = joins.find(({ channel }) => channel === 'room:subs')?.['info'] as Message;
    assert.deepEqual(
      [seat['connInfo'], seat['chanInfo'], seat['user']],
      [{ name: 'Anna' }, { seat: 7 }, '42'],
    );
    const presence = await client.presence('room:subs');
    assert.deepEqual(Object.values(presence.clients)[0]?.chanInfo, { seat: 7 });
    await assert.rejects(client.publish('room:token', 1), { code: 103 });
  });

  it('recover server-side subscriptions', async (t) => {
    const token = await sign({ sub: 'bea', channels: ['room:bea'] });
    const { client, events } = await connectSdk(t, hub, { token });
    const publish = (n: number) => hub.admin('POST', '/channels/room:bea/messages', { body: String(n) });
    await publish(1);
    await events.until('publication');
    client.disconnect();
    await publish(2);
    client.connect();
    assert.deepEqual(dataOf(await events.until('publication', 2)), [1, 2]);
    const [, again] = events.of('subscribed').filter(({ channel }) => channel === 'room:bea');
    assert.equal(again?.['recovered'], true);
  });

  it('are renewed by the SDK, for the connection and the subscription', async (t) => {
    let connections = 0;
    let subscriptions = 0;
    const { client, events } = await connectSdk(t, hub, {
      getToken: async () => {
        connections += 1;
        return sign({ sub: 'cleo', exp: now() + 2 });
      },
    });
    const { events: room } = await subscribed(client, 'other', {
      getToken: async () => {
        subscriptions += 1;
        return sign({ sub: 'cleo', channel: 'other', exp: now() + 2 });
      },
    });
    await new Promise<void>((resolve) => {
      const look = setInterval(() => {
        if (connections < 3 || subscriptions < 3) return;
        clearInterval(look);
        resolve();
      }, 50);
    });
    assert.equal(events.of('connected').length, 1);
    assert.equal(room.of('subscribed').length, 1);
  });

  it('end with 3005 or 3500 when the renewal is late or for another user', async () => {
    const cases: [claims: JWTPayload, code: number][] = [
      [{ sub: 'dora', exp: now() - 5 }, 3005],
      [{ sub: 'emma' }, 3500],
    ];
    for (const [claims, code] of cases) {
      const wire = await connecting({ sub: 'dora' });
      wire.say({ id: 2, refresh: { token: await sign(claims) } });
      assert.equal((await wire.end()).code, code);
    }
    const wire = await connecting({ sub: 'dora' });
    const { refresh } = await wire.ask({
      id: 2,
      refresh: { token: await sign({ sub: 'dora', exp: now() + 60 }) },
    });
    const { ttl, client, ...rest } = refresh as Message;
    assert.ok((ttl as number) > 50 && (ttl as number) <= 60);
    assert.match(String(client), /^[\w-]{22}$/);
    assert.deepEqual(Object.keys(rest).sort(), ['expires', 'version']);
    const token = await sign({ sub: 'dora', channel: 'x' });
    await wire.ask({ id: 3, subscribe: { channel: 'x', token } });
    assert.equal(codeOf(await wire.ask({ id: 4, sub_refresh: { channel: 'x', token: '' } })), 107);
    assert.deepEqual(await wire.ask({ id: 5, sub_refresh: { channel: 'x', token } }), {
      id: 5,
      sub_refresh: {},
    });
    wire.say({
      id: 6,
      sub_refresh: { channel: 'x', token: await sign({ sub: 'dora', channel: 'x', exp: 1 }) },
    });
    assert.equal((await wire.end()).code, 3006);
  });

  it('make an SDK with a token that has expired ask for another one', async (t) => {
    let asked = 0;
    const { client, events } = sdkFor(t, hub, {
      token: await sign({ sub: 'fay', exp: now() - 100 }),
      getToken: async () => {
        asked += 1;
        return sign({ sub: 'fay' });
      },
    });
    client.connect();
    await client.ready(30_000);
    assert.equal(asked, 1);
    assert.equal(events.of('disconnected').length, 0);
  });
});

describe('WSHUB_INSECURE', () => {
  it('is refused beside a key, and with force lifts every check but that of a token', async (t) => {
    const file = join(temporaryFolder(t), 'secret');
    writeFileSync(file, secret);
    const env = {
      WSHUB_JWT_SECRET_FILE: file,
      WSHUB_JWT_ALLOW_SHORT_SECRET: 'true',
      WSHUB_NAMESPACES: namespaces,
    };
    const refused = await runCli(['check-config'], { ...env, WSHUB_INSECURE: 'true' });
    assert.equal(refused.code, 1);
    assert.match(refused.stdout + refused.stderr, /WSHUB_INSECURE is true and a token key is set/);
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_INSECURE: 'force' } });
    assert.ok(hub.log.some(({ level, msg }) => level === 'warn' && msg.startsWith('WSHUB_INSECURE is on')));
    assert.ok(hub.log.some(({ msg }) => msg.startsWith('WSHUB_JWT_ALLOW_SHORT_SECRET is on')));
    const wire = await Wire.connect(hub);
    assert.ok((await wire.ask({ id: 2, subscribe: { channel: '$limited:x' } }))['subscribe']);
    wire.say({ id: 3, publish: { channel: '$limited:x', data: 1 } });
    assert.equal((await wire.lines(2)).filter(({ error }) => error).length, 0);
    wire.say({
      id: 4,
      subscribe: { channel: 'room:1', token: await sign({ channel: 'room:1' }, 'another') },
    });
    assert.equal(((await wire.line())['error'] as { code: number }).code, 103);
    await wire.close();
    const wrong = await Wire.open(hub);
    wrong.say({ id: 1, connect: { token: 'nonsense' } });
    assert.equal((await wrong.end()).code, 3500);
    const answer = await request(hub.port, 'GET', '/room:1', { headers: handshake });
    assert.equal(answer.status, 401, 'the plain protocol still needs tokens');
  });
});

describe('WSHUB_PERSONAL_CHANNEL', () => {
  it('needs a default namespace in which other clients cannot subscribe to it', async () => {
    const { code, stderr, stdout } = await runCli(['check-config'], { WSHUB_PERSONAL_CHANNEL: 'true' });
    assert.equal(code, 1);
    assert.match(stdout + stderr, /WSHUB_PERSONAL_CHANNEL needs userLimited/);
  });
});
