/** A link to a sibling that does not read: what waits is bounded and shared by channels. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Publication } from '../../../src/channel/publication.ts';
import { Counters } from '../../../src/metrics/counters.ts';
import { FrameDecoder, type FrameReceiver } from '../../../src/relay/mesh/frame-decoder.ts';
import { Link, type LinkOwner } from '../../../src/relay/mesh/link.ts';
import { temporaryFolder } from '../../support.ts';

const maxBytes = 1024 * 1024;
const payload = Buffer.alloc(16 * 1024, 'x');

/** A receiver that ignores all frames except those with a given callback. */
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

/** What the far end reads: publications as numbers, marks as negative ones, and the other frames. */
function reading(far: Socket): { got: (number | string)[]; until: (enough: () => boolean) => Promise<void> } {
  const got: (number | string)[] = [];
  let look: () => void = () => undefined;
  const decoder = new FrameDecoder(
    null,
    receiver<null>({
      publication: (_, channelId) => void got.push(channelId),
      lost: (_, _channelId, count) => void got.push(-count),
      sync: () => void got.push('sync'),
    }),
  );
  far.on('data', (chunk) => {
    decoder.push(chunk);
    look();
  });
  const until = (enough: () => boolean) =>
    new Promise<void>((resolve) => {
      look = () => {
        if (enough()) resolve();
      };
      look();
    });
  return { got, until };
}

function setup(near: Socket) {
  const counters = new Counters();
  const events: string[] = [];
  const owner: LinkOwner = Object.assign(receiver<Link>({}), {
    recovered: () => undefined,
    congested: (channel: string, isCongested: boolean) =>
      void events.push(`${isCongested ? 'congested' : 'flowing'} ${channel}`),
    finished: () => undefined,
    closed: () => undefined,
  });
  const link = new Link(near, owner, counters, maxBytes);
  link.out.json('hello', 1);
  const publish = (channel: string, channelId: number, bytes = payload) => {
    link.publish({ name: channel, channelId, dueAt: 0 }, new Publication(bytes, 'ws'), 0);
    link.flush(Infinity);
  };
  return { link, counters, events, publish };
}

describe('a link whose sibling does not read', () => {
  it('drops and counts publications of the busiest channel above its limit, and sends a mark in their place', async (t) => {
    const [near, far] = await socketPair(t);
    const { link, counters, events, publish } = setup(near);
    let sent = 0;
    while (counters.dropped.relay_backpressure === 0) publish('hog', ++sent);
    assert.ok(link.bufferedBytes > maxBytes / 2 && link.bufferedBytes < 2 * maxBytes);
    for (let more = 0; more < 99; more += 1) publish('hog', 0);
    assert.equal(counters.dropped.relay_backpressure, 100);
    assert.ok(link.writable, 'other frames are taken');
    link.out.sync(1);
    publish('bystander', 1_000_000, Buffer.from('1'));
    publish('bystander', 1_000_001, Buffer.from('2'));
    assert.deepEqual(events, ['congested hog']);

    const { got, until } = reading(far);
    await until(() => got.some((one) => Number(one) < 0));
    assert.deepEqual(events, ['congested hog', 'flowing hog']);
    const kept = sent - counters.dropped.relay_backpressure + 99;
    const ofHog = got.filter((one) => Number(one) < 1_000_000);
    assert.deepEqual(ofHog, [
      ...Array.from({ length: kept }, (_, index) => index + 1),
      -counters.dropped.relay_backpressure,
    ]);
    assert.deepEqual(
      got.filter((one) => Number(one) >= 1_000_000),
      [1_000_000, 1_000_001],
      'nothing of a bystander is lost',
    );
    assert.ok(got.indexOf('sync') < got.indexOf(1_000_000), 'other frames pass all that waits per channel');
    const lead = got.slice(got.indexOf(1_000_001));
    assert.ok(lead.length > 10, 'a bystander does not wait for all of the others');

    publish('hog', ++sent);
    await until(() => got.at(-1) === sent);
    assert.equal(link.bufferedBytes, 0);
  });

  it('queues a held channel until its release, and sends the other channels', async (t) => {
    const [near, far] = await socketPair(t);
    const { link, publish } = setup(near);
    const { got, until } = reading(far);
    publish('held', 1);
    link.hold('held', true);
    publish('held', 2);
    publish('other', 3);
    publish('held', 4);
    await until(() => got.length === 2);
    assert.deepEqual(got, [1, 3]);
    link.hold('held', false);
    publish('held', 5);
    await until(() => got.length === 5);
    assert.deepEqual(got, [1, 3, 2, 4, 5]);
  });

  it('counts queued publications as dropped when it closes', async (t) => {
    const [near] = await socketPair(t);
    const { link, counters, events, publish } = setup(near);
    link.hold('held', true);
    for (let n = 0; n < 20; n += 1) publish('held', n);
    assert.deepEqual(events, ['congested held']);
    const closed = once(near, 'close');
    link.destroy();
    await closed;
    assert.equal(counters.dropped.relay_down, 20);
    assert.deepEqual(events, ['congested held', 'flowing held']);
  });
});
