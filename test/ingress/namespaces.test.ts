/** What the options of a namespace mean to the clients of a running hub. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { codeOf, connect, connectApart, handshake, hubFor, request, temporaryFolder } from '../support.ts';

const namespaces = (...entries: object[]) => ({ WSHUB_NAMESPACES: JSON.stringify(entries) });

async function refusal(hub: { port: number }, path: string, headers: Record<string, string> = {}) {
  const answer = await request(hub.port, 'GET', `/${path}`, { headers: { ...handshake, ...headers } });
  return [answer.status, codeOf(answer)];
}

describe('a namespace', () => {
  it('decides whether senders receive their own messages, unless the query does', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: namespaces({ name: 'quiet', echo: false }) });
    const [silent, loud, other] = await Promise.all(
      ['quiet:room', 'quiet:room?echo=true', 'room'].map((path) => connect(hub, path)),
    );
    assert.ok(silent && loud && other);
    silent.send('from the silent one');
    assert.equal(await loud.next(), 'from the silent one');
    loud.send('from the loud one');
    assert.equal(await loud.next(), 'from the loud one');
    assert.equal(await silent.next(), 'from the loud one');
    other.send('in the default namespace');
    assert.equal(await other.next(), 'in the default namespace');
  });

  it('may allow publishing to back ends only', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: namespaces({ name: 'news', clientPublish: false }) });
    const reader = await connect(hub, 'news:today');
    reader.send('mine');
    assert.deepEqual(await reader.next(), {
      error: { code: 'forbidden', message: 'you may not publish on this channel' },
    });
    await hub.admin('POST', '/channels/news:today/messages', { body: '"theirs"' });
    assert.equal(await reader.next(), 'theirs');
  });

  it('must be declared if namespaces are strict, for clients and for back ends', async (t) => {
    const env = { ...namespaces({ name: 'chat' }), WSHUB_STRICT_NAMESPACES: 'true' };
    const hub = await hubFor(t, { workers: 1, env });
    for (const allowed of ['chat:room', 'room']) await (await connect(hub, allowed)).close();
    assert.deepEqual(await refusal(hub, 'char:room'), [404, 'unknown_namespace']);
    const published = await hub.admin('POST', '/channels/char:room/messages', { body: '1' });
    assert.equal(codeOf(published), 'unknown_namespace');
  });

  it('may limit a channel to the users in its name, and $ channels to tokens that name them', async (t) => {
    const secret = randomBytes(32).toString('base64');
    const file = join(temporaryFolder(t), 'key');
    writeFileSync(file, secret);
    const env = { ...namespaces({ name: 'dialog', userLimited: true }), WSHUB_JWT_SECRET_FILE: file };
    const hub = await hubFor(t, { workers: 1, env });
    const all = { name: '*', can: ['subscribe', 'publish'] };
    const token = (sub: string, ...channels: object[]) =>
      new SignJWT({ sub, channels }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
    const as = async (sub: string, ...channels: object[]) => ({
      authorization: `Bearer ${await token(sub, ...channels)}`,
    });
    const path = 'dialog:talk%2342,43';
    await (await connect(hub, path, { headers: await as('43', all) })).close();
    assert.deepEqual(await refusal(hub, path, await as('44', all)), [403, 'forbidden']);
    assert.deepEqual(await refusal(hub, path, await as('2', all)), [403, 'forbidden']);
    assert.deepEqual(await refusal(hub, '$dialog:secret', await as('42', all)), [403, 'forbidden']);
    const exact = { name: '$dialog:secret', can: ['subscribe'] };
    await (await connect(hub, '$dialog:secret', { headers: await as('42', exact) })).close();
  });

  it('that limits users refuses clients without tokens', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: namespaces({ userLimited: true }) });
    for (const path of ['talk%2342', '$talk']) assert.deepEqual(await refusal(hub, path), [403, 'forbidden']);
    await (await connect(hub, 'talk')).close();
  });
});

describe('envelope=true', () => {
  it('wraps each message of any worker with its channel, and not the messages of the hub', async (t) => {
    const hub = await hubFor(t);
    const readers = await connectApart(hub, 'a%20%22room%22?envelope=true');
    const plain = await connect(hub, 'a%20%22room%22');
    plain.send({ text: 'hello' });
    const enveloped = { channel: 'a "room"', data: { text: 'hello' } };
    for (const reader of readers) assert.deepEqual(await reader.next(), enveloped);
    assert.deepEqual(await plain.next(), { text: 'hello' });
    readers[0].ws.send('no JSON');
    assert.deepEqual(await readers[0].next(), {
      error: { code: 'bad_json', message: 'the message is not valid JSON in UTF-8' },
    });
  });
});

describe('since and history', () => {
  it('are refused on a channel without history, and if they are malformed', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    for (const query of [
      'since=e:1',
      'history=5',
      'since=nonsense',
      'history=0',
      'history=-1',
      'envelope=1',
      'sinc=e:1',
    ])
      assert.deepEqual(await refusal(hub, `room?${query}`), [400, 'bad_query'], query);
  });
});
