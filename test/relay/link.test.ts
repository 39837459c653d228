/** A link to a sibling that does not read: its buffer is bounded, and it recovers when the sibling reads again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Counters } from '../../src/counters.ts';
import { FrameDecoder, type FrameReceiver } from '../../src/relay/frame-decoder.ts';
import { Link, type LinkOwner } from '../../src/relay/link.ts';
import { temporaryFolder } from '../support.ts';

const maxBytes = 1024 * 1024;
const payload = Buffer.alloc(16 * 1024, 'x');

/** Does nothing with a frame but what is given. */
function receiver<S>(given: Partial<FrameReceiver<S>>): FrameReceiver<S> {
  return new Proxy(given, {
    get: (target, name) => (Reflect.get(target, name) as unknown) ?? (() => undefined),
  }) as FrameReceiver<S>;
}

/** Both ends of a Unix socket. */
async function socketPair(t: TestContext): Promise<[Socket, Socket]> {
  const path = join(temporaryFolder(t), 'link.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const near = createConnection(path);
  const [far] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

describe('a link whose sibling does not read', () => {
  it('drops publications past its bound, counts them, and says when it recovers', async (t) => {
    const [near, far] = await socketPair(t);
    const counters = new Counters();
    let recovered: () => void = () => undefined;
    const recovery = new Promise<void>((resolve) => (recovered = resolve));
    const owner: LinkOwner = Object.assign(receiver<Link>({}), {
      recovered,
      finished: () => undefined,
      closed: () => undefined,
    });
    const link = new Link(near, owner, counters, maxBytes);

    link.out.json('hello', 1);
    let sent = 0;
    while (link.writable) {
      link.publish(++sent, payload, 0, 0, 0, null);
      link.flush(Infinity);
    }
    assert.ok(link.bufferedBytes > maxBytes);
    const bound = link.bufferedBytes;
    for (let more = 0; more < 100; more += 1) link.publish(0, payload, 0, 0, 0, null);
    link.flush(Infinity);
    assert.equal(counters.dropped.relay_backpressure, 100);
    assert.equal(link.bufferedBytes, bound, 'what was dropped takes no memory');

    const got: number[] = [];
    const decoder = new FrameDecoder(
      null,
      receiver<null>({ publication: (_, channelId) => void got.push(channelId) }),
    );
    let all: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (all = resolve));
    far.on('data', (chunk) => {
      decoder.push(chunk);
      if (got.length === sent + 1) all();
    });
    await recovery;
    assert.ok(link.writable);
    link.publish(sent + 1, payload, 0, 0, 0, null);
    link.flush(Infinity);
    await arrived;
    assert.deepEqual(
      got,
      Array.from({ length: sent + 1 }, (_, index) => index + 1),
    );
  });
});
