/** onSubscribe and onPublish over a running hub: what they let through, change and refuse, on every transport. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { EventSourceClient, openStream } from '../event-source.ts';
import { freshScrape } from '../metrics/exposition.ts';
import { Client, connect, handshake, hubFor, request } from '../support.ts';

const env = {
  WSHUB_HANDLERS: join(import.meta.dirname, 'hook-functions.ts'),
  WSHUB_HANDLER_TIMEOUT_MS: '300',
};

const headers = { cookie: 'key=open' };

describe('onSubscribe', () => {
  it('refuses a client with its own code, on every transport', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const own = { error: { code: 1234, message: 'members only' } };
    const plain = await request(hub.port, 'GET', '/private', { headers: handshake });
    assert.deepEqual([plain.status, plain.body], [403, own]);
    const page = new Client(`ws://127.0.0.1:${hub.port}/private`, { origin: `http://127.0.0.1:${hub.port}` });
    assert.deepEqual(await page.take(2), [own, { status: 'disconnected', reason: 'forbidden', code: 4002 }]);
    assert.deepEqual(await page.end(), { code: 4002, reason: 'forbidden' });
    const accept = { accept: 'text/event-stream' };
    const stream = await request(hub.port, 'GET', '/private', { headers: accept });
    assert.deepEqual([stream.status, stream.body], [403, own]);
    const browser = new EventSourceClient(hub.port, 'private', { 'user-agent': 'Mozilla/5.0' });
    assert.deepEqual(JSON.parse((await browser.next()).data), own);
    assert.equal((await browser.next()).event, 'disconnected');
    const line = await hub.logged('refused');
    assert.deepEqual([line['channel'], line['claims'], line['address']], ['private', null, '127.0.0.1']);
    const { samples } = await freshScrape(hub);
    assert.equal(samples.get('wshub_connections_rejected_total{reason="forbidden"}'), 4);
  });

  it('lets in a client that it knows by a cookie', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const one = await connect(hub, 'private', { headers });
    const [stream] = await openStream(hub, 'private', headers);
    one.send({ text: 'plain' });
    assert.deepEqual(await stream.take(1), [{ text: 'plain' }]);
    stream.close();
  });

  it('that fails, hangs or throws something else refuses the client and is logged', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    for (const channel of ['fails', 'hangs', 'wrong']) {
      const { status, body } = await request(hub.port, 'GET', `/${channel}`, { headers: handshake });
      assert.deepEqual(
        [status, body],
        [500, { error: { code: 'handler_failed', message: 'the handler onSubscribe failed' } }],
      );
      await hub.logged('handler failed', { handler: 'onSubscribe', channel });
    }
    const foreign = await request(hub.port, 'GET', '/foreign', { headers: handshake });
    assert.deepEqual(foreign.body, { error: { code: 1999, message: 'from another copy' } });
    const { samples } = await freshScrape(hub);
    assert.equal(samples.get('wshub_connections_rejected_total{reason="handler_failed"}'), 3);
    assert.equal(samples.get('wshub_connections{worker="0"}'), 0);
  });
});

describe('onPublish', () => {
  it('changes, lets through and refuses messages without a handler of their own, in order', async (t) => {
    const hub = await hubFor(t, { env });
    const [sender, other] = [await connect(hub, 'room'), await connect(hub, 'room')];
    sender.send({ text: 'hello' });
    sender.send({ text: 'rude' });
    sender.send({ type: 'chat', text: 'rude' });
    sender.send({ text: 'broken' });
    sender.send({ text: 'hostile' });
    sender.send({ text: 'plain', more: 1 });
    sender.send(null);
    const from = { from: sender.connectionId, channel: 'room' };
    const published = [
      { text: 'hello', ...from },
      { type: 'chat', text: 'rude', handled: true },
      { text: 'plain', more: 1 },
      from,
    ];
    assert.deepEqual(await other.take(4), published);
    const errors = [
      { error: { code: 450, message: 'mind your words' } },
      ...Array.from({ length: 2 }, () => ({
        error: { code: 'handler_failed', message: 'the handler of this message type failed' },
      })),
    ];
    const all = (await sender.take(7)) as object[];
    assert.deepEqual(
      all.filter((message) => 'error' in message),
      errors,
    );
    assert.deepEqual(
      all.filter((message) => !('error' in message)),
      published,
    );
    await hub.logged('handler failed', { handler: 'onPublish' });
    const { samples } = await freshScrape(hub);
    assert.equal(samples.get('wshub_message_errors_total{reason="forbidden"}'), 1);
  });

  it('is not asked about publications of back ends', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, 'room');
    const body = JSON.stringify({ text: 'rude' });
    assert.equal((await hub.admin('POST', '/channels/room/messages', { body })).status, 202);
    assert.deepEqual(await client.next(), { text: 'rude' });
  });
});
