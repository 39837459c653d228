/** The end of a link: what a worker has sent is read to the end, in whatever order the news of its end come. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Publication } from '../../../src/channel/publication.ts';
import { batchingLimits } from '../../../src/channel/batching.ts';
import { Counters } from '../../../src/metrics/counters.ts';
import { createLog } from '../../../src/platform/log.ts';
import { FrameError } from '../../../src/relay/mesh/frame-decoder.ts';
import { Mesh, type CallHost } from '../../../src/relay/mesh/mesh.ts';
import type { RelayHost } from '../../../src/relay/relay.ts';
import type { MeshIdentity } from '../../../src/ipc/messages.ts';
import { eventually, fastPathsOff, temporaryFolder } from '../../support.ts';

/** A call that breaks the link over which it comes. */
const breaking = 'breaks the link';

/** One worker's end of the mesh, without a worker around it. */
class Member implements RelayHost, CallHost {
  readonly identity: MeshIdentity;
  readonly counters = new Counters();
  readonly mesh: Mesh;
  readonly received: string[] = [];
  readonly calls: unknown[] = [];
  readonly results: unknown[] = [];
  readonly unlinkedFrom: string[] = [];
  readonly #channel = { id: 1, name: 'news', members: { size: 1 }, congested: false };

  constructor(folder: string, workerId: string) {
    this.identity = { hubId: 'hub', workerId, path: join(folder, workerId) };
    this.mesh = new Mesh(
      this.identity,
      batchingLimits(0),
      createLog('silent', workerId, 'json'),
      this.counters,
    );
    this.mesh.start(this);
    this.mesh.announce(this.#channel);
  }

  publish(payload: Buffer): void {
    this.mesh.publish('news', new Publication(payload, 'ws'), 0, performance.now());
  }

  deliver(_channelId: number, { payload }: Publication): void {
    this.received.push(payload.toString());
  }

  deliverNamed(_name: string, publication: Publication): void {
    this.deliver(1, publication);
  }

  readonly losses: number[] = [];
  lost(_channelId: number, count: number): void {
    this.losses.push(count);
  }

  congested(): void {
    // Nor is a publisher paused.
  }

  channels() {
    return [this.#channel];
  }

  connections(): number {
    return 1;
  }

  wake(): void {
    this.mesh.flush(Infinity);
  }

  call(_from: string, value: unknown): void {
    if (value === breaking) throw new FrameError('a test breaks the link');
    this.calls.push(value);
  }

  result(_from: string, value: unknown): void {
    this.results.push(value);
  }

  /** called when a link has closed, before there is another one */
  onUnlinked: () => void = () => undefined;
  linkClosed(sibling: string): void {
    this.unlinkedFrom.push(sibling);
    this.onUnlinked();
  }
}

/** Two linked members. */
async function pair(t: TestContext): Promise<[Member, Member]> {
  const folder = temporaryFolder(t);
  const members: [Member, Member] = [new Member(folder, 'w1'), new Member(folder, 'w2')];
  t.after(() => {
    for (const { mesh } of members) mesh.close();
  });
  const named = members.map(({ identity: { workerId, path } }) => ({ workerId, path }));
  await Promise.all(members.map((member) => member.mesh.listen(member)));
  for (const { mesh } of members) mesh.setPeers(named);
  const linked = () => (members.every(({ mesh }) => mesh.linked && mesh.knows('news')) ? true : undefined);
  await eventually(linked, 'the link');
  return members;
}

const numbers = Array.from({ length: 1_000 }, (_, number) => String(number));

describe('the link of a worker that the primary has removed', () => {
  it('is read to its end after the removal', async (t) => {
    const [one, other] = await pair(t);
    for (const number of numbers) one.publish(Buffer.from(number));
    one.mesh.send('w2', 'result', 'the last word');
    one.mesh.flush(Infinity);
    other.mesh.setPeers([other.identity]); // before anything is read
    assert.equal(other.mesh.linked, true);
    assert.equal(other.mesh.knows('news'), false);
    one.mesh.close();
    await eventually(() => (other.unlinkedFrom.length > 0 ? true : undefined), 'the end of the link');
    assert.deepEqual(other.received, numbers);
    assert.deepEqual(other.results, ['the last word']);
    other.publish(Buffer.from('for nobody'));
    assert.equal(other.counters.dropped.relay_down, 0);
  });
});

describe('the link of a worker that has died', () => {
  it('is read to its end after a write to it', { skip: fastPathsOff }, async (t) => {
    const [one, other] = await pair(t);
    for (const number of numbers) one.publish(Buffer.from(number));
    one.mesh.flush(Infinity);
    one.mesh.close(); // as the kernel does it
    other.publish(Buffer.from('for nobody'));
    other.mesh.flush(Infinity);
    await eventually(() => (other.unlinkedFrom.length > 0 ? true : undefined), 'the end of the link');
    assert.deepEqual(other.received, numbers);
  });
});

describe('a link that breaks between two workers', () => {
  it('is replaced, and the subscribers are told how many publications they have missed', async (t) => {
    const [one, other] = await pair(t);
    one.onUnlinked = () => {
      for (const number of ['1', '2', '3']) one.publish(Buffer.from(number));
      one.onUnlinked = () => undefined;
    };
    other.mesh.send('w1', 'call', breaking);
    await eventually(() => (other.losses.length > 0 ? true : undefined), 'the notice');
    assert.deepEqual(other.losses, [3]);
    assert.equal(one.counters.dropped.relay_down, 3);
    one.publish(Buffer.from('after it'));
    await eventually(() => (other.received.length > 0 ? true : undefined), 'a publication');
    assert.deepEqual(other.received, ['after it']);
  });
});

describe('a worker that leaves the mesh', () => {
  it('gets no more commands, finishes the running ones, and is read to its end', async (t) => {
    const [one, other] = await pair(t);
    other.mesh.send('w1', 'call', 'the last call');
    one.mesh.leave();
    await eventually(() => (one.mesh.callsOver ? true : undefined), 'the end of the calls');
    assert.deepEqual(one.calls, ['the last call']);
    assert.equal(other.mesh.send('w1', 'call', 'too late'), false);
    assert.deepEqual(other.mesh.callable(), []);
    assert.equal(one.mesh.send('w2', 'call', 'from one that leaves'), true);

    one.mesh.send('w2', 'result', 'the last result');
    for (const number of numbers) one.publish(Buffer.from(number));
    one.mesh.end();
    await eventually(() => (one.mesh.ended ? true : undefined), 'the end of the link');
    assert.deepEqual(other.received, numbers);
    assert.deepEqual(other.calls, ['from one that leaves']);
    assert.deepEqual(other.results, ['the last result']);

    // The primary names both until it has heard of the end: the sibling takes no notice.
    other.mesh.setPeers([one.identity, other.identity]);
    assert.equal(other.mesh.linked, true);
    other.publish(Buffer.from('for nobody'));
    assert.equal(other.counters.dropped.relay_down, 0);
    assert.equal(one.counters.dropped.relay_down, 0);
  });

  it('counts the publications that a sibling without reads may have missed', async (t) => {
    const [one, other] = await pair(t);
    const payload = Buffer.alloc(64 * 1024, 'x');
    while (one.mesh.queuedBytes === 0) {
      one.publish(payload);
      one.mesh.flush(Infinity);
    }
    one.publish(payload);
    one.mesh.leave();
    one.mesh.end();
    one.mesh.close(); // its time is over
    assert.equal(one.counters.dropped.relay_down, 2);
    await eventually(() => (other.unlinkedFrom.length > 0 ? true : undefined), 'the end of the link');
  });
});
