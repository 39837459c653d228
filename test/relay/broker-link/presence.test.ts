/** Members of channels over the link to a broker process: who is told what, whatever is killed. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { PresentMember } from '../../../src/channel/member.ts';
import { TestBroker, type TestWorker } from './brokers.ts';

const member = (connectionId: string, more: Partial<PresentMember> = {}): PresentMember => ({
  connectionId,
  user: '',
  info: '',
  channelInfo: '',
  ...more,
});

async function started(t: TestContext): Promise<TestBroker> {
  const broker = new TestBroker(t);
  broker.namespace = { joinLeave: true };
  await broker.start();
  return broker;
}

const watch = (worker: TestWorker, channel: string) =>
  new Promise<void>((resolve) => {
    worker.link.presence.watch(channel, resolve);
  });

const known = ({ link }: TestWorker, channel: string) => [...link.presence.membersOf(channel).keys()].sort();

const list = (worker: TestWorker, channel: string, limit = 1_000) =>
  new Promise<{ ids: string[]; truncated: boolean; connections: number; users: number }>(
    (resolve, reject) => {
      worker.link.presence.members(channel, limit, (answer) => {
        if (!answer) reject(new Error('no answer'));
        else {
          const ids = answer.members.map(({ connectionId }) => connectionId);
          resolve({ ids, truncated: answer.truncated, ...answer.stats });
        }
      });
    },
  );

/** The worker knows exactly these members. */
const knows = (worker: TestWorker, channel: string, ids: string) =>
  worker.signal.until(
    () => known(worker, channel).join(' ') === ids,
    `${ids} on ${channel}: ${known(worker, channel).join(' ')}`,
  );

describe('PresenceLink', () => {
  it('keeps every text of a member, and lists and counts members', async (t) => {
    const broker = await started(t);
    const [one, two] = [broker.worker('w1'), broker.worker('w2')];
    const full = member('a', { user: 'änna', info: '{"name":"😀"}', channelInfo: '[1]' });
    one.link.presence.enter('c', full);
    one.link.presence.enter('c', member('b', { user: 'änna' }));
    one.link.presence.enter('c', member('c'));
    one.link.presence.enter('d', member('a'));
    await watch(one, 'c');
    await watch(two, 'c');
    assert.deepEqual(two.link.presence.membersOf('c').get('a'), full);
    assert.deepEqual(known(two, 'c'), ['a', 'b', 'c']);
    assert.deepEqual(await list(two, 'c'), {
      ids: ['a', 'b', 'c'],
      truncated: false,
      connections: 3,
      users: 1,
    });
    assert.deepEqual(await list(two, 'c', 2), { ids: ['a', 'b'], truncated: true, connections: 3, users: 1 });
    assert.deepEqual(await list(two, 'e'), { ids: [], truncated: false, connections: 0, users: 0 });
    assert.deepEqual(two.members, [], 'the list is no event');
  });

  it('tells each change once and in order, and nothing after the end of the watch', async (t) => {
    const broker = await started(t);
    const [one, two] = [broker.worker('w1'), broker.worker('w2')];
    await Promise.all([watch(one, 'c'), watch(two, 'c'), watch(two, 'c')]);
    const a = one.link.presence.enter('c', member('a'));
    one.link.presence.enter('c', member('b'));
    one.link.presence.leave(a);
    one.link.presence.leave(a);
    const again = one.link.presence.enter('c', member('a'));
    const events = ['joined c a', 'joined c b', 'left c a', 'joined c a'];
    for (const worker of [one, two]) {
      await worker.signal.until(() => worker.members.length === 4, 'four changes');
      assert.deepEqual(worker.members, events);
    }
    two.link.presence.unwatch('c', () => undefined);
    two.link.presence.unwatch('c', () => undefined);
    one.link.presence.leave(again);
    await one.signal.until(() => one.members.length === 5, 'the leave');
    await list(two, 'c');
    assert.deepEqual(two.members, events);
  });

  it('23a: tells the leave of each member of a worker whose link has closed, once', async (t) => {
    const broker = await started(t);
    const [one, two] = [broker.worker('w1'), broker.worker('w2')];
    await watch(two, 'c');
    for (const id of ['a', 'b']) one.link.presence.enter('c', member(id));
    two.link.presence.enter('c', member('z'));
    await knows(two, 'c', 'a b z');
    one.link.close();
    await knows(two, 'c', 'z');
    assert.deepEqual(two.members.slice(3).sort(), ['left c a', 'left c b']);
  });

  it('makes nobody join or leave when the broker is replaced, and tells what has changed', async (t) => {
    const broker = await started(t);
    const [one, two, three] = [broker.worker('w1'), broker.worker('w2'), broker.worker('w3')];
    const away = one.link.presence.enter('c', member('a'));
    one.link.presence.enter('c', member('b'));
    three.link.presence.enter('c', member('x'));
    await watch(two, 'c');
    await knows(two, 'c', 'a b x');
    two.members.length = 0;
    await broker.kill();
    await two.signal.until(() => two.downs === 1, 'the end of the link');
    one.link.presence.leave(away);
    two.link.presence.enter('c', member('d'));
    three.link.close();
    broker.expected = ['w1', 'w2', 'w3'];
    await broker.start();
    const asked = list(two, 'c');
    await Promise.all([one, two].map((worker) => worker.signal.until(() => worker.ups === 2, 'a new link')));
    assert.deepEqual(two.members, [], 'a worker of before is still missing');
    broker.send({ kind: 'workerGone', workerId: 'w3' });
    await knows(two, 'c', 'b d');
    assert.deepEqual(two.members.toSorted(), ['joined c d', 'left c a', 'left c x']);
    assert.deepEqual((await asked).ids.toSorted(), ['b', 'd']);
  });

  it('hands events to the next worker when the one that handles them dies, even if it has no members', async (t) => {
    const broker = await started(t);
    const handled: string[] = [];
    const two = broker.worker('w2', {
      handleMembers: ({ kind, member: { connectionId } }, done) => {
        handled.push(`${kind} ${connectionId}`);
        done();
        two.signal.happened();
      },
    });
    const begun: string[] = [];
    const one: TestWorker = broker.worker('w1', {
      handleMembers: ({ kind }) => {
        begun.push(kind); // and never ends
        one.signal.happened();
      },
    });
    for (const worker of [one, two]) await worker.signal.until(() => worker.link.isUp, 'the link');
    one.link.presence.beginHandling();
    await list(one, 'c'); // the broker knows it before it knows of `two`
    two.link.presence.beginHandling();
    two.link.presence.enter('c', member('a'));
    await one.signal.until(() => begun.length > 0, 'an event at the first worker');
    one.link.close();
    await two.signal.until(() => handled.length === 2, 'the events at the second worker');
    assert.deepEqual(handled, ['occupied a', 'joined a']);
  });

  it('23a: keeps the members right over eight kills of the broker', async (t) => {
    const broker = await started(t);
    const workers = ['w1', 'w2', 'w3'].map((id) => broker.worker(id));
    const [first] = workers as [TestWorker, TestWorker, TestWorker];
    await Promise.all(workers.map((worker) => watch(worker, 'c')));
    const present = new Map<string, { worker: TestWorker; number: number }>();
    const told = new Set<string>();
    let next = 0;
    for (let round = 1; round <= 8; round++) {
      broker.expected = ['w1', 'w2', 'w3'];
      const killed = broker.kill();
      for (const worker of workers) {
        for (const [id, entry] of [...present].slice(0, 2)) {
          if (entry.worker !== worker) continue;
          worker.link.presence.leave(entry.number);
          present.delete(id);
        }
        const id = `m${String(++next).padStart(3, '0')}`;
        present.set(id, { worker, number: worker.link.presence.enter('c', member(id)) });
      }
      await killed;
      await broker.start();
      const expected = [...present.keys()].sort().join(' ');
      for (const worker of workers) await knows(worker, 'c', expected);
      assert.deepEqual((await list(first, 'c')).ids.sort().join(' '), expected);
    }
    for (const worker of workers) {
      told.clear();
      for (const event of worker.members) {
        const [kind, , id = ''] = event.split(' ');
        assert.equal(told.has(id), kind === 'left', `${event} of ${worker.members.join(', ')}`);
        if (kind === 'left') told.delete(id);
        else told.add(id);
      }
      assert.deepEqual([...told].sort(), [...present.keys()].sort(), 'the events add up to the members');
    }
  });
});
