/** Publishing over HTTP: the body goes byte for byte to everyone on the channel, on all workers. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { codeOf, connectApart, startHub, type HubProcess } from '../support.ts';

describe('POST /channels/:channel/messages', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env: { WSHUB_MAX_PAYLOAD: '1000' } });
  });
  after(() => hub.end());

  const post = (port: number, channel: string, body: string | Buffer) =>
    hub.admin('POST', `/channels/${encodeURIComponent(channel)}/messages`, { port, body });

  it('answers 202 and reaches the clients of all workers once, from either port', async () => {
    const clients = await connectApart(hub, 'news/today');
    const texts = ['{"n": 1e0}', '[ "ü" ]', 'null'];
    for (const text of texts) {
      const { status, body } = await post(hub.opsPort, 'news/today', text);
      assert.deepEqual({ status, body }, { status: 202, body: { channel: 'news/today' } });
    }
    for (const client of clients) await client.take(3);
    assert.equal((await post(hub.port, 'news/today', '"public"')).status, 202);
    assert.equal((await post(hub.port, 'news/today', '"public"')).status, 202);
    for (const client of clients) {
      await client.take(2);
      assert.deepEqual(client.received, [...texts, '"public"', '"public"']);
    }
  });

  it('answers 202 for a channel without subscribers', async () => {
    assert.equal((await post(hub.opsPort, 'empty', '1')).status, 202);
  });

  it('refuses bodies that are not JSON in UTF-8 or too large, and relays none of them', async () => {
    const [client] = await connectApart(hub, 'refused');
    for (const port of [hub.opsPort, hub.port]) {
      for (const bad of ['', '{', '{"a":1}x', Buffer.from([0x22, 0xff, 0x22])]) {
        const answer = await post(port, 'refused', bad);
        assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_json']);
      }
      const answer = await post(port, 'refused', JSON.stringify('x'.repeat(999)));
      assert.deepEqual([answer.status, codeOf(answer)], [413, 'message_too_big']);
      assert.equal((await post(port, 'refused', JSON.stringify('x'.repeat(998)))).status, 202);
    }
    assert.deepEqual(await client.take(2), ['x'.repeat(998), 'x'.repeat(998)]);
    const answer = await post(hub.opsPort, 'x'.repeat(256), '1');
    assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_channel']);
  });
});
