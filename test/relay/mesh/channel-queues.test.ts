/** Publications that wait for a sibling: the order of each channel, turns of all, and whose are dropped. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChannelQueues, type Lost } from '../../../src/relay/mesh/channel-queues.ts';
import { congestedBytes, shareBytes } from '../../../src/relay/mesh/tuning.ts';

function setup(maxBytes = Infinity) {
  const events: string[] = [];
  let dropped = 0;
  const queues = new ChannelQueues(maxBytes, {
    congested: (channel, isCongested) => events.push(`${isCongested ? 'congested' : 'flowing'} ${channel}`),
    dropped: () => (dropped += 1),
  });
  /** What one turn takes: texts, and marks as numbers. */
  const take = () => {
    const taken: (string | number)[] = [];
    queues.take((item: Buffer | Lost) => {
      taken.push(Buffer.isBuffer(item) ? item.toString() : item.count);
    });
    return taken;
  };
  const takeAll = () => {
    const taken: (string | number)[] = [];
    while (queues.isReady()) taken.push(...take());
    return taken;
  };
  return { queues, events, take, takeAll, dropped: () => dropped };
}

const large = 'x'.repeat(shareBytes);

describe('ChannelQueues', () => {
  it('serves the channels in turn, and keeps the order within each', () => {
    const { queues, take } = setup();
    for (let n = 0; n < 3; n += 1) queues.push('hog', Buffer.from(large), 1);
    queues.push('small', Buffer.from('1'), 2);
    queues.push('small', Buffer.from('2'), 2);
    assert.deepEqual([take(), take(), take(), take()], [[large], ['1', '2'], [large], [large]]);
    assert.deepEqual([queues.size, queues.bytes, queues.isReady()], [0, 0, false]);
  });

  it('keeps a held channel until its release', () => {
    const { queues, takeAll } = setup();
    queues.push('held', Buffer.from('1'), 1);
    queues.hold('held');
    queues.push('held', Buffer.from('2'), 1);
    queues.push('other', Buffer.from('3'), 2);
    assert.deepEqual(takeAll(), ['3']);
    assert.ok(queues.has('held'));
    queues.release('held');
    assert.deepEqual(takeAll(), ['1', '2']);
    assert.equal(queues.size, 0);
  });

  it('reports when a channel is congested and when it has drained', () => {
    const { queues, events, take, takeAll } = setup();
    for (let n = 0; n < congestedBytes / shareBytes; n += 1) queues.push('hog', Buffer.from(large), 1);
    assert.deepEqual(events, ['congested hog']);
    take();
    assert.deepEqual(events, ['congested hog'], 'and not at once');
    takeAll();
    assert.deepEqual(events, ['congested hog', 'flowing hog']);
    for (let n = 0; n < 5; n += 1) queues.push('hog', Buffer.from(large), 1);
    queues.push('small', Buffer.from('1'), 2);
    const discarded: [string, number][] = [];
    const discard = (channel: string, count: number) => discarded.push([channel, count]);
    assert.equal(queues.clear(discard), 6);
    assert.deepEqual(discarded, [
      ['hog', 5],
      ['small', 1],
    ]);
    assert.deepEqual(events.slice(2), ['congested hog', 'flowing hog']);
  });

  it('drops the newest publications of the largest queue, and leaves a mark in their place', () => {
    const { queues, takeAll, dropped } = setup(4 * shareBytes);
    for (let n = 0; n < 5; n += 1) queues.push('hog', Buffer.from(large), 1);
    assert.equal(dropped(), 2, 'each costs a little more than its bytes');
    for (let n = 0; n < 10; n += 1) queues.push('small', Buffer.from(String(n)), 2);
    queues.push('small', Buffer.from(large), 2);
    assert.equal(dropped(), 3);
    assert.deepEqual(
      takeAll().map((item) => (item === large ? 'large' : item)),
      ['large', ...Array.from({ length: 10 }, (_, n) => String(n)), 'large', 'large', 3],
    );
  });

  it('marks every loss, and never exceeds its limit', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ channel: fc.nat(3), bytes: fc.integer({ min: 1, max: 400 }) }) },
      { weight: 1, arbitrary: fc.constant('take' as const) },
      { weight: 1, arbitrary: fc.record({ hold: fc.nat(3), on: fc.boolean() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const got = new Map<string, number[]>();
        const { queues, dropped } = setup(3_000);
        let sent = 0;
        const next = new Map<string, number>();
        const put = (channel: string) => (item: Buffer | Lost) => {
          assert.ok(channel);
          if (!Buffer.isBuffer(item)) return;
          const [name = '', number = ''] = item.toString().split(' ');
          got.set(name, [...(got.get(name) ?? []), Number(number)]);
        };
        for (const one of steps) {
          if (one === 'take') queues.take(put('any'));
          else if ('hold' in one) queues[one.on ? 'hold' : 'release'](`c${one.hold}`);
          else {
            const name = `c${one.channel}`;
            const number = next.get(name) ?? 0;
            next.set(name, number + 1);
            sent += 1;
            queues.push(name, Buffer.from(`${name} ${number} `.padEnd(one.bytes)), one.channel);
          }
          assert.ok(queues.bytes <= 3_000 && queues.bytes >= 0);
        }
        queues.releaseAll();
        while (queues.isReady()) queues.take(put('any'));
        let received = 0;
        for (const numbers of got.values()) {
          received += numbers.length;
          assert.deepEqual(
            numbers,
            numbers.toSorted((a, b) => a - b),
          );
        }
        assert.equal(received + dropped(), sent);
        assert.deepEqual([queues.bytes, queues.size], [0, 0]);
      }),
    );
  });
});
