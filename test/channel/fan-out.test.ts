/** Registry and fan-out on fake members: each member gets its messages once, in order, in one write. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Publication } from '../../src/channel/publication.ts';
import type { Channel, Member, PublicationEncoder, WriteResult } from '../../src/channel/channel.ts';
import { FanOut } from '../../src/channel/fan-out.ts';
import { Registry } from '../../src/channel/registry.ts';
import { windowEnd, memberOffsetMs, batchingLimits } from '../../src/channel/batching.ts';
import { Counters } from '../../src/metrics/counters.ts';

/** Encodes as the plain protocol does: all payloads, in order. */
const brackets: PublicationEncoder = {
  publications: (_channel, publications) =>
    Buffer.from(publications.map(({ payload }) => `[${payload.toString()}]`).join('')),
};

class Fake implements Member {
  number = 0;
  readonly channel: Channel<Fake>;
  readonly encoder: PublicationEncoder;
  readonly written: string[] = [];
  result: WriteResult = 'sent';

  constructor(channel: Channel<Fake>, encoder: PublicationEncoder) {
    this.channel = channel;
    this.encoder = encoder;
  }

  write(bytes: Buffer): WriteResult {
    if (this.result !== 'skipped') this.written.push(bytes.toString());
    return this.result;
  }
}

/** @param audience members of every channel on the whole hub */
function setup(audience = 1) {
  let asked = 0;
  const events: string[] = [];
  const registry = new Registry<Fake>({
    opened: ({ name }) => events.push(`opened ${name}`),
    closed: ({ name }) => events.push(`closed ${name}`),
  });
  const slow: Fake[] = [];
  const counters = new Counters();
  const fanout = new FanOut<Fake>({
    audience: () => {
      asked += 1;
      return audience;
    },
    batching: batchingLimits(5, 2, 2),
    onSlow: (member) => slow.push(member),
    onCongested: ({ name, congested }) => events.push(`${congested ? 'congested' : 'flowing'} ${name}`),
    onTraced: null,
    counters,
  });
  const join = (name: string, encoder = brackets) => {
    const channel = registry.reserve(name);
    const member = new Fake(channel, encoder);
    registry.subscribe(channel, member);
    fanout.joined(channel, member);
    return member;
  };
  const leave = (member: Fake) => {
    fanout.flushTo(member.channel, member);
    registry.unsubscribe(member.channel, member);
  };
  const catchUp = (member: Fake) => {
    fanout.catchUp(member.channel, member);
  };
  const push = (name: string, text: string, author: Fake | null = null) => {
    const channel = registry.get(name);
    assert.ok(channel);
    fanout.push(channel, new Publication(Buffer.from(text), 'ws', author));
  };
  return { events, registry, fanout, slow, counters, join, leave, catchUp, push, asked: () => asked };
}

describe('FanOut', () => {
  it('writes the messages of a turn to each member in one write, in order', () => {
    const { fanout, join, push, counters } = setup();
    const [a, b, other] = [join('x'), join('x'), join('y')];
    push('x', '1');
    push('x', '2');
    fanout.flush(0);
    fanout.flush(0);
    assert.deepEqual([a.written, b.written, other.written], [['[1][2]'], ['[1][2]'], []]);
    assert.deepEqual(counters.delivered, { local: 4, relay: 0 });
  });

  it('skips the messages of a sender for that sender only', () => {
    const { fanout, join, push, counters } = setup();
    const [author, reader] = [join('x'), join('x')];
    push('x', 'mine', author);
    push('x', 'yours');
    fanout.flush(0);
    push('x', 'alone', author);
    fanout.flush(0);
    assert.deepEqual(author.written, ['[yours]']);
    assert.deepEqual(reader.written, ['[mine][yours]', '[alone]']);
    assert.deepEqual(counters.delivered, { local: 4, relay: 0 });
  });

  it('reports slow members once, after the write to all members', () => {
    const { fanout, join, push, slow } = setup();
    const [stalled, reader] = [join('x'), join('x')];
    stalled.result = 'over limit';
    push('x', '1');
    push('x', '2');
    fanout.flush(0);
    assert.deepEqual(slow, [stalled]);
    assert.deepEqual(reader.written, ['[1][2]']);
  });

  it('collects messages to a large audience in a batching window after a write', () => {
    const { fanout, join, push } = setup(100);
    const member = join('x');
    push('x', '1');
    const start = windowEnd(1_000, 3, memberOffsetMs(3)) + 0.1; // rests end at multiples of their length, and a little later
    assert.equal(fanout.flush(start), Infinity, 'the first message does not wait');
    push('x', '2');
    assert.equal(Math.round(fanout.flush(start + 0.9)), 2);
    push('x', '3');
    assert.equal(fanout.flush(start + 3), Infinity);
    assert.deepEqual(member.written, ['[1]', '[2][3]']);
  });

  it('computes the whole audience once per batching window with messages, and not for empty windows', () => {
    const { fanout, join, push, asked } = setup(100);
    join('x');
    const start = windowEnd(1_000, 3, memberOffsetMs(3)) + 0.1;
    push('x', '1');
    fanout.flush(start);
    push('x', '2');
    fanout.flush(start + 6);
    assert.equal(asked(), 0);
    push('x', '3');
    for (const later of [0.5, 1, 1.5]) assert.ok(fanout.flush(start + 6 + later) < 3);
    assert.equal(asked(), 1);
  });

  it('limits the batching window, and has none for a small audience or a large batch', () => {
    const large = setup(1_000_000);
    large.join('x');
    large.push('x', '1');
    const start = windowEnd(0, 5, memberOffsetMs(5)) + 0.1;
    large.fanout.flush(start);
    large.push('x', '2');
    assert.equal(Math.round(large.fanout.flush(start + 0.9)), 4);
    large.push('x', 'x'.repeat(65_536));
    assert.equal(large.fanout.flush(start + 0.9), Infinity);

    const small = setup(30);
    const member = small.join('x');
    small.push('x', '1');
    small.fanout.flush(0);
    small.push('x', '2');
    assert.equal(small.fanout.flush(0), Infinity);
    assert.deepEqual(member.written, ['[1]', '[2]']);
  });

  it('writes to a large audience in slices, and to small audiences between them', () => {
    const { fanout, join, push, counters } = setup();
    const crowd = Array.from({ length: 1_000 }, () => join('crowd'));
    const few = join('few');
    push('crowd', '1');
    assert.equal(fanout.flush(0), 0, 'the slice is over at once: the time given is long ago');
    const reached = () => crowd.filter(({ written }) => written.length > 0).length;
    assert.ok(reached() > 0 && reached() < crowd.length, `${reached()}`);
    assert.equal(counters.delivered.local, 0, 'counted when all have it');
    push('few', 'a');
    fanout.flush(0);
    assert.deepEqual(few.written, ['[a]']);
    let turns = 0;
    while (fanout.flush(0) === 0) turns += 1;
    assert.ok(turns > 10, `${turns}`);
    assert.ok(crowd.every(({ written }) => written.join() === '[1]'));
    assert.equal(counters.delivered.local, 1_001);
  });

  it('writes a batch in progress to members that leave between two slices, and not to new members', () => {
    const { fanout, join, leave, push, counters } = setup();
    const crowd = Array.from({ length: 1_000 }, () => join('crowd'));
    const [first, last] = [crowd[0], crowd.at(-1)];
    assert.ok(first && last);
    push('crowd', '1');
    fanout.flush(0);
    push('crowd', '2', last);
    push('crowd', '3');
    fanout.flush(0);
    assert.deepEqual([first.written, last.written], [['[1]'], []]);
    for (const leaver of [first, last]) leave(leaver);
    assert.deepEqual(
      [first.written, last.written],
      [
        ['[1]', '[2][3]'],
        ['[1]', '[3]'],
      ],
    );
    const newcomer = join('crowd');
    fanout.flush(Infinity);
    assert.deepEqual(newcomer.written, []);
    for (const { written } of crowd.slice(1, -1)) assert.deepEqual(written, ['[1]', '[2][3]']);
    assert.deepEqual(counters.delivered, { local: 3 + 1_000 + 2 * 998, relay: 0 });
    assert.equal(counters.recipients.sum, counters.delivered.local);
  });

  it('counts the deliveries of members that left, when all have left', () => {
    const { fanout, join, leave, push, counters } = setup();
    const [a, b] = [join('x'), join('x')];
    push('x', '1', a);
    for (const leaver of [a, b]) leave(leaver);
    fanout.flush(0);
    assert.deepEqual([a.written, b.written], [[], ['[1]']]);
    assert.deepEqual(counters.delivered, { local: 1, relay: 0 });
  });

  it('collects messages during a batch in progress, up to a limit', () => {
    const { fanout, join, push, events } = setup();
    const crowd = Array.from({ length: 100 }, () => join('crowd'));
    const last = crowd.at(-1);
    assert.ok(last);
    push('crowd', '1');
    fanout.flush(0);
    push('crowd', '2');
    assert.equal(fanout.flush(0), 0);
    assert.deepEqual(last.written, []);
    assert.equal(
      fanout.flush(performance.now() + 60_000),
      0,
      'the second waits for the first, and no longer',
    );
    assert.deepEqual(last.written, ['[1]']);
    fanout.flush(0);
    push('crowd', 'x'.repeat(256 * 1024));
    assert.equal(fanout.flush(0), 0);
    assert.deepEqual(last.written, ['[1]'], 'what is under way goes on in slices');
    assert.deepEqual(events, ['opened crowd', 'congested crowd']);
    push('crowd', 'x'.repeat(4 * 1024 * 1024));
    fanout.flush(0);
    assert.deepEqual(last.written, ['[1]', '[2]'], 'what is under way is written to all, the next is begun');
    assert.deepEqual(events.slice(2), ['flowing crowd']);
    fanout.flush(Infinity);
    assert.equal(last.written.length, 3);
  });

  it('writes only later messages to a new member, and keeps slices and batching window', () => {
    const { fanout, join, push, counters } = setup();
    const crowd = Array.from({ length: 1_000 }, () => join('crowd'));
    const reached = () => crowd.filter(({ written }) => written.length > 0).length;
    push('crowd', '1');
    fanout.flush(0);
    const before = reached();
    push('crowd', '2');
    const [early, other] = [join('crowd'), join('crowd')];
    push('crowd', '3', other);
    const late = join('crowd');
    push('crowd', '4');
    assert.equal(reached(), before, 'joining writes nothing');
    fanout.flush(Infinity);
    assert.deepEqual(
      [early, other, late].map(({ written }) => written),
      [['[3][4]'], ['[4]'], ['[4]']],
    );
    for (const { written } of crowd) assert.deepEqual(written, ['[1]', '[2][3][4]']);
    assert.equal(counters.delivered.local, 4 * 1_000 + 2 + 1 + 1);
    assert.equal(counters.recipients.sum, counters.delivered.local);
  });

  it('writes waiting messages early to a member that gets another write, and not twice', () => {
    const { fanout, join, push, catchUp, leave, counters } = setup();
    const crowd = Array.from({ length: 1_000 }, () => join('crowd'));
    const [a, b] = [crowd[998], crowd[999]];
    assert.ok(a && b);
    push('crowd', '1');
    fanout.flush(0);
    push('crowd', '2', a);
    push('crowd', '3');
    catchUp(a);
    catchUp(b);
    catchUp(b);
    assert.deepEqual(
      [a.written, b.written],
      [
        ['[1]', '[3]'],
        ['[1]', '[2][3]'],
      ],
    );
    push('crowd', '4');
    leave(b);
    fanout.flush(Infinity);
    assert.deepEqual(
      [a.written, b.written],
      [
        ['[1]', '[3]', '[4]'],
        ['[1]', '[2][3]', '[4]'],
      ],
    );
    for (const { written } of crowd.slice(0, -2)) assert.deepEqual(written, ['[1]', '[2][3][4]']);
    assert.equal(counters.delivered.local, 4 * 1_000 - 1);
    assert.equal(counters.recipients.sum, counters.delivered.local);
  });

  it('needs constant time for a leave or a join during a batch in progress', () => {
    const { fanout, registry, join, leave, push } = setup();
    const crowd = Array.from({ length: 50_000 }, () => join('crowd'));
    push('crowd', '1');
    fanout.flush(0);
    const channel = registry.get('crowd');
    assert.ok(channel);
    let looks = 0;
    const iterate = (name: 'entries' | 'keys' | 'values') => {
      const real = channel.members[name].bind(channel.members);
      Object.assign(channel.members, { [name]: () => ((looks += channel.members.size), real()) });
    };
    for (const name of ['entries', 'keys', 'values'] as const) iterate(name);
    Object.assign(channel.members, { [Symbol.iterator]: () => channel.members.values() });
    const newcomers = Array.from({ length: 1_000 }, () => join('crowd'));
    for (const leaver of [...crowd.slice(1_000), ...newcomers]) leave(leaver);
    assert.equal(looks, 0, 'nobody walks through all members');
    fanout.flush(Infinity);
    assert.ok(crowd.every(({ written }) => written.join() === '[1]'));
    assert.ok(newcomers.every(({ written }) => written.length === 0));
  });

  it('delivers each message once, in order and from the join on, for any interleaving', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ push: fc.integer({ min: -1, max: 100 }) }) },
      fc.record({ join: fc.integer({ min: 1, max: 80 }) }),
      fc.record({ leave: fc.nat() }),
      fc.record({ catchUp: fc.nat() }),
      fc.record({ flush: fc.constantFrom(0, Infinity) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { fanout, registry, join, leave, catchUp, push, counters } = setup();
        const wanted = new Map<Fake, string>();
        const here: Fake[] = [];
        const check = (member: Fake) => {
          assert.equal(member.written.join(''), wanted.get(member));
        };
        let delivered = 0;
        let message = 0;
        for (const item of steps) {
          if ('join' in item) {
            for (let n = 0; n < item.join; n += 1) {
              const member = join('x');
              here.push(member);
              wanted.set(member, '');
            }
          } else if ('push' in item) {
            if (!registry.get('x')) continue;
            const author = item.push < 0 ? null : (here[item.push % here.length] ?? null);
            message += 1;
            push('x', String(message), author);
            for (const member of here) {
              if (member === author) continue;
              wanted.set(member, `${wanted.get(member) ?? ''}[${message}]`);
              delivered += 1;
            }
          } else if ('leave' in item) {
            const [leaver] = here.splice(item.leave % (here.length || 1), 1);
            if (!leaver) continue;
            leave(leaver);
            check(leaver);
          } else if ('catchUp' in item) {
            const member = here[item.catchUp % (here.length || 1)];
            if (!member) continue;
            catchUp(member);
            check(member);
          } else {
            fanout.flush(item.flush);
          }
        }
        fanout.flush(Infinity);
        for (const member of wanted.keys()) check(member);
        assert.equal(counters.delivered.local, delivered);
        assert.equal(counters.recipients.sum, delivered);
      }),
      { numRuns: 300 },
    );
  });

  it('encodes a batch once for each encoder, and from each start', () => {
    const { fanout, join, push } = setup();
    let encoded = 0;
    const shouting: PublicationEncoder = {
      publications: (channel, publications) => {
        encoded += 1;
        return Buffer.from(`${channel}! ${publications.map(({ payload }) => payload.toString()).join(' ')}`);
      },
    };
    const quiet = Array.from({ length: 3 }, () => join('x'));
    const loud = Array.from({ length: 3 }, () => join('x', shouting));
    push('x', '1');
    const late = Array.from({ length: 3 }, () => join('x', shouting));
    push('x', '2');
    fanout.flush(0);
    assert.ok(quiet.every(({ written }) => written.join() === '[1][2]'));
    assert.ok(loud.every(({ written }) => written.join() === 'x! 1 2'));
    assert.ok(late.every(({ written }) => written.join() === 'x! 2'));
    assert.equal(encoded, 2);
  });

  it('does not count a publication as delivered to a member that skipped it', () => {
    const { fanout, join, push, counters } = setup();
    const [reader, skipper] = [join('x'), join('x')];
    skipper.result = 'skipped';
    push('x', '1');
    fanout.flush(0);
    assert.deepEqual([reader.written, skipper.written], [['[1]'], []]);
    assert.deepEqual(counters.delivered, { local: 1, relay: 0 });
  });
});

describe('Registry', () => {
  it('opens a channel at the first reservation and closes it with the last member or reservation', () => {
    const { events, registry, join } = setup();
    const claim = registry.reserve('x');
    const member = join('x');
    registry.unsubscribe(member.channel, member);
    assert.deepEqual(events, ['opened x']);
    registry.release(claim);
    assert.deepEqual(events, ['opened x', 'closed x']);
    assert.equal(registry.size, 0);
    assert.equal(registry.getById(claim.id), undefined);
  });

  it('never gives a channel’s number to another', () => {
    const { join, leave } = setup();
    const first = join('x');
    leave(first);
    assert.notEqual(join('x').channel.id, first.channel.id);
  });

  it('accepts names of prototype members', () => {
    const { registry, join } = setup();
    for (const name of ['__proto__', 'constructor', 'toString']) {
      assert.equal(registry.get(name), undefined);
      join(name);
      assert.equal(registry.get(name)?.members.size, 1);
    }
  });
});
