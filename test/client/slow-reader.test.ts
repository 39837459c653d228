/** A client that does not read: it is closed with 4100, and the others get everything. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { connect, connectApart, hubFor } from '../support.ts';

const bytes = 60_000;

/** The largest buffer that the kernel gives one end of a connection (tcp(7)). */
function bufferBytes(name: 'tcp_rmem' | 'tcp_wmem'): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/).at(-1));
}

/** Together more than the buffers of both ends and the hub's own take, in rounds of 20. */
const messages = 20 * Math.ceil((bufferBytes('tcp_rmem') + bufferBytes('tcp_wmem') + 2 ** 20) / bytes / 20);

/** The author is a flood, and only how its readers fare is looked at. */
const unlimited = { WSHUB_MESSAGE_RATE: '0', WSHUB_BYTE_RATE: '0' };

describe('a slow reader', () => {
  it('is closed with 4100 slow_consumer, on either worker, while the others get everything in order', async (t) => {
    const hub = await hubFor(t, {
      env: { ...unlimited, WSHUB_OUTBOX_MAX_BYTES: '262144', WSHUB_CLOSE_TIMEOUT_MS: '9000' },
    });
    const readers = await connectApart(hub, 'slow');
    const slow = await connectApart(hub, 'slow');
    const author = await connect(hub, 'slow?echo=false');
    for (const { ws } of slow) ws.pause();
    const body = 'x'.repeat(bytes);
    for (let n = 0; n < messages; n += 20) {
      for (let m = n; m < n + 20; m += 1) author.send({ n: m, body });
      for (const reader of readers) {
        const got = (await reader.take(20)) as { n: number; body: string }[];
        assert.deepEqual(
          got.map((message) => [message.n, message.body.length]),
          Array.from({ length: 20 }, (_, m) => [n + m, bytes]),
        );
      }
    }
    for (const client of slow) {
      client.ws.resume();
      assert.deepEqual(await client.end(), { code: 4100, reason: 'slow_consumer' });
      const received = client.received.map((text) => JSON.parse(text) as { n?: number; status?: string });
      assert.deepEqual(received.pop(), { status: 'disconnected', reason: 'slow_consumer', code: 4100 });
      // It received the first messages, without a gap.
      assert.ok(received.length < messages);
      assert.deepEqual(
        received.map(({ n }) => n),
        received.map((_, n) => n),
      );
    }
    const { body: shown } = await hub.admin('GET', '/channels/slow');
    assert.equal((shown as { total: number }).total, 3);
    author.send('end');
    for (const reader of readers) assert.equal(await reader.next(), 'end');
  });

  it('that never reads again is dropped after the close timeout', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { ...unlimited, WSHUB_OUTBOX_MAX_BYTES: '262144', WSHUB_CLOSE_TIMEOUT_MS: '500' },
    });
    const author = await connect(hub, 'stuck');
    const stuck = await connect(hub, 'stuck');
    stuck.ws.pause();
    const body = 'x'.repeat(bytes);
    for (let n = 0; n < messages; n += 20) {
      for (let m = n; m < n + 20; m += 1) author.send(body);
      await author.take(20);
    }
    await hub.logged('connection closed', { connectionId: stuck.connectionId });
    stuck.ws.terminate();
    const { body: shown } = await hub.admin('GET', '/channels/stuck');
    assert.equal((shown as { total: number }).total, 1);
  });
});
