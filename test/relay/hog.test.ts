/** One channel with more than a worker can pass on: its publisher is slowed down, and others notice nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scrape, sum } from '../metrics/exposition.ts';
import { linkMaxBytes } from '../../src/relay/mesh/tuning.ts';
import {
  connect,
  connectApart,
  connectWhere,
  eventually,
  handshake,
  hubFor,
  openSocket,
  type Client,
} from '../support.ts';

const filler = 'x'.repeat(64_000);

/** No reader must count as slow: a worker is slow here. */
const patient = { WSHUB_OUTBOX_MAX_BYTES: String(2 ** 28), WSHUB_OUTBOX_SOFT_BYTES: String(2 ** 28) };

/** Sends numbered messages from one client to the other, and asserts that all of them come, in order. */
async function exchange([from, to]: readonly [Client, Client], count: number): Promise<void> {
  const sent = Array.from({ length: count }, (_, n) => ({ n }));
  for (const message of sent) from.send(message);
  assert.deepEqual(await to.take(count), sent);
}

describe('a channel with more publications than its readers take', () => {
  it('on a blocked worker: its publisher pauses, other clients and joins do not wait, nothing is lost', async (t) => {
    const hub = await hubFor(t, { workers: 3, env: patient });
    const on = (workerId: string) => (other: string) => other === workerId;
    const author = await connectWhere(hub, 'hog?echo=false', on('w1'));
    const near = await connectWhere(hub, 'hog', on('w2'));
    const far = await connectWhere(hub, 'hog', on('w3'));
    const pair = [
      await connectWhere(hub, 'pair?echo=false', on('w1')),
      await connectWhere(hub, 'pair', on('w2')),
    ] as const;
    const toStopped = [
      await connectWhere(hub, 'to stopped?echo=false', on('w1')),
      await connectWhere(hub, 'to stopped', on('w3')),
    ] as const;
    const pid = hub.pidOf('w3');
    process.kill(pid, 'SIGSTOP');
    hub.signal('SIGSTOP'); // a primary that was stopped itself does not treat missing pongs as a hang

    const count = Math.ceil((1.25 * linkMaxBytes) / filler.length);
    for (let n = 0; n < count; n += 1) author.send({ n, filler });
    await exchange(pair, 500);
    for (let n = 0; n < 500; n += 1) toStopped[0].send({ n });
    const joined: Client[] = [];
    const joins = Array.from({ length: 12 }, async (_, n) => joined.push(await connect(hub, `new/${n}`)));
    await eventually(() => (joined.length > 0 ? true : undefined), 'a join while one worker is stopped');
    await exchange(pair, 500);
    assert.ok(author.ws.bufferedAmount > linkMaxBytes / 4, 'the publisher is not read from');

    process.kill(pid, 'SIGCONT');
    hub.signal('SIGCONT');
    await Promise.all(joins);
    assert.deepEqual(
      await toStopped[1].take(500),
      Array.from({ length: 500 }, (_, n) => ({ n })),
    );
    for (const reader of [near, far]) {
      for (let n = 0; n < count; n += 1) assert.equal(((await reader.next()) as { n: number }).n, n);
    }
    const { samples } = await scrape(hub);
    assert.equal(sum(samples, 'wshub_messages_dropped_total'), 0);
  });

  it('with a large audience: other clients and joins are served, and all readers get all publications', async (t) => {
    const readers = 300;
    const count = 40;
    const hub = await hubFor(t, { env: patient });
    const [one, other] = await connectApart(hub, 'pair?echo=false');
    const author = await connect(hub, 'hog?echo=false');
    const audience = Array.from({ length: readers }, async () => {
      const { socket } = await openSocket(hub.port);
      t.after(() => socket.destroy());
      const lines = Object.entries({ host: 'test', ...handshake }).map(
        ([name, value]) => `${name}: ${value}`,
      );
      let bytes = 0;
      let isOpen: () => void = () => undefined;
      const opened = new Promise<void>((resolve) => (isOpen = resolve));
      let isDone: () => void = () => undefined;
      const done = new Promise<void>((resolve) => (isDone = resolve));
      socket.removeAllListeners('data'); // input is counted, not stored
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        isOpen();
        if (bytes >= count * filler.length) isDone();
      });
      socket.write([`GET /hog HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      await opened;
      return { done };
    });
    const opened = await Promise.all(audience);
    for (let n = 0; n < count; n += 1) author.send({ n, filler });
    const posted = hub.admin('POST', '/channels/hog/messages', { port: hub.port, body: '"posted"' });
    for (let round = 0; round < 20; round += 1) {
      await exchange([one, other], 10);
      const client = await connect(hub, `new/${round}`);
      client.ws.close();
    }
    assert.equal((await posted).status, 202);
    await Promise.all(opened.map(({ done }) => done));
    const { samples } = await scrape(hub);
    assert.equal(sum(samples, 'wshub_messages_dropped_total'), 0);
  });
});
