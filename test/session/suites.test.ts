/** The server configurations that the suites of the official SDKs expect: the hub starts with them, and does what they need. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT, type JWTPayload } from 'jose';
import { hubFor, temporaryFolder } from '../support.ts';
import { connectSdk, dataOf, subscribed, Wire, type Message } from './wire.ts';

const sign = (claims: JWTPayload) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setIssuedAt().sign(Buffer.from('secret'));

const history = { historySize: 100, historyTtl: '300s' };
const smallHistory = { name: 'smallhistory', historySize: 2, historyTtl: '300s' };

/** The settings of all suites; the key has six bytes. */
function common(t: Parameters<typeof temporaryFolder>[0], namespaces: object[]) {
  const file = join(temporaryFolder(t), 'secret');
  writeFileSync(file, 'secret');
  return {
    WSHUB_JWT_SECRET_FILE: file,
    WSHUB_JWT_ALLOW_SHORT_SECRET: 'true',
    WSHUB_STRICT_NAMESPACES: 'true',
    WSHUB_NAMESPACES: JSON.stringify(namespaces),
  };
}

const codeOf = ({ error }: Message) => (error as { code?: number } | undefined)?.code;

describe('the configuration of the suite', () => {
  it('of JavaScript lets anonymous clients do everything, with tokens of channels and without', async (t) => {
    const env = common(t, [
      { ...history, presence: true },
      { name: 'recovery', ...history },
      smallHistory,
      { name: 'delta', ...history },
    ]);
    const hub = await hubFor(t, { env: { ...env, WSHUB_INSECURE: 'force' } });
    const { client } = await connectSdk(t, hub, { token: await sign({}) });
    const withToken = await subscribed(client, 'test1', { token: await sign({ channel: 'test1' }) });
    const others = await Promise.all(
      ['test', 'recovery:x', 'smallhistory:x'].map((name) => subscribed(client, name)),
    );
    for (const { sub, events } of [withToken, ...others]) {
      await sub.publish({ n: 1 });
      assert.deepEqual(dataOf(await events.until('publication')), [{ n: 1 }]);
      assert.equal(events.of('subscribed')[0]?.['recoverable'], true);
    }
    assert.equal((await withToken.sub.presenceStats()).numClients, 1);
    const delta = await subscribed(client, 'delta:x', { delta: 'fossil' });
    await delta.sub.publish({ whole: true });
    assert.deepEqual(dataOf(await delta.events.until('publication')), [{ whole: true }]);
    await assert.rejects(client.rpc('test', {}), { code: 108 });
  });

  it('of Python lets subscribers publish and read by their tokens, and has personal channels', async (t) => {
    const env = common(t, [
      { ...history, presence: true, joinLeave: true, clientPublish: true, userLimited: true },
      { ...smallHistory, clientPublish: true },
    ]);
    const hub = await hubFor(t, { env: { ...env, WSHUB_PERSONAL_CHANNEL: 'true' } });
    const { client, events } = await connectSdk(t, hub, { token: await sign({ sub: '42' }) });
    const [personal] = await events.until('subscribed');
    assert.equal(personal?.['channel'], '#42');
    await events.until('join');
    const channel = 'recovery_channel';
    const wire = await Wire.connect(hub, { token: await sign({ sub: '42' }) });
    wire.say({ id: 2, subscribe: { channel } });
    const lines = await wire.lines(2); // the join of the personal channel too
    assert.equal(codeOf(lines.find(({ id }) => id === 2) ?? {}), 103);
    await wire.close();
    const { sub, events: room } = await subscribed(client, channel, {
      token: await sign({ sub: '42', channel }),
    });
    await room.until('join');
    await sub.publish('hello');
    await room.until('publication');
    assert.equal((await sub.history({ limit: -1 })).publications.length, 1);
    assert.equal(Object.values((await sub.presence()).clients)[0]?.user, '42');
  });

  it('of Go has no presence, and knows no other namespace', async (t) => {
    const env = common(t, [history, smallHistory]);
    const hub = await hubFor(t, { env: { ...env, WSHUB_INSECURE: 'force' } });
    const wire = await Wire.connect(hub);
    assert.equal(codeOf(await wire.ask({ id: 2, subscribe: { channel: 'test:x' } })), 102);
    assert.equal(codeOf(await wire.ask({ id: 3, subscribe: { channel: 'test' } })), undefined);
    assert.equal(codeOf(await wire.ask({ id: 4, presence: { channel: 'test' } })), 108);
    assert.equal(codeOf(await wire.ask({ id: 5, presence_stats: { channel: 'test' } })), 108);
    await wire.close();
  });

  it('of Java, C# and Swift has positions, presence, joins and leaves', async (t) => {
    const env = common(t, [
      { historySize: 10, historyTtl: '60s', presence: true, joinLeave: true },
      { name: 'recovery', ...history },
      smallHistory,
    ]);
    const hub = await hubFor(t, { env: { ...env, WSHUB_INSECURE: 'force' } });
    const { client } = await connectSdk(t, hub);
    const { events } = await subscribed(client, 'test', { joinLeave: true, positioned: true });
    assert.equal(events.of('subscribed')[0]?.['positioned'], true);
    await events.until('join');
  });
});
