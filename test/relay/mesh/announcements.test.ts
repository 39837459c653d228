/** Complete announcements: over several turns of the event loop, and confirmed only when the interest is complete. */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Announcer } from '../../../src/relay/mesh/announcer.ts';
import type { FrameEncoder } from '../../../src/relay/mesh/frame-encoder.ts';
import type { Link, Peer } from '../../../src/relay/mesh/link.ts';
import { Routes } from '../../../src/relay/mesh/routes.ts';
import { announceChunk } from '../../../src/relay/mesh/tuning.ts';
import type { RelayChannel } from '../../../src/relay/relay.ts';

/** A worker with one sibling, and what the sibling knows after each frame. */
class Worker {
  readonly channels = new Map<string, RelayChannel>();
  readonly frames: string[] = [];
  readonly sibling = new Routes<string>();
  readonly link: { writable: boolean; out: FrameEncoder; deferred: FrameEncoder };
  readonly announcer: Announcer;
  #lastId = 0;

  constructor() {
    const told = (frame: string, ...values: unknown[]) => {
      assert.ok(this.link.writable, `${frame} on a link that takes no frames`);
      this.frames.push([frame, ...values].join(' '));
    };
    const confirms = (frame: string, sequence: number) => {
      told(frame, sequence);
      this.sibling.complete('w1');
      for (const { id, name } of this.channels.values())
        assert.ok(this.sibling.nameOf('w1', id) === name, `${name} is not known at ${frame}`);
      assert.equal(this.sibling.size, this.channels.size);
    };
    const out = {
      begin: () => {
        told('begin');
        this.sibling.begin('w1');
      },
      add: (id: number, name: string) => {
        told('add', id);
        this.sibling.add('w1', id, name);
      },
      drop: (id: number) => {
        told('drop', id);
        this.sibling.drop('w1', id);
      },
      sync: (sequence: number) => {
        confirms('sync', sequence);
      },
      echo: (nonce: number) => {
        confirms('echo', nonce);
      },
      counts: () => undefined,
    } as unknown as FrameEncoder;
    this.link = { writable: true, out, deferred: out };
    const peer = { workerId: 'w2', link: this.link as unknown as Link } as Peer;
    const interest = {
      channels: () => this.channels.values(),
      connections: () => 0,
      wake: () => undefined,
    };
    this.announcer = new Announcer(interest, [peer], 0);
    this.announcer.linked(peer, peer.link as Link);
    this.frames.length = 0;
  }

  open(count: number): void {
    for (let n = 0; n < count; n += 1) {
      const id = (this.#lastId += 1);
      const channel = { id, name: `c${id}`, members: { size: 1 }, congested: false };
      this.channels.set(channel.name, channel);
      this.announcer.announce(channel);
    }
  }

  close(index: number): void {
    const channel = [...this.channels.values()][index];
    if (!channel) return;
    this.channels.delete(channel.name);
    this.announcer.withdraw(channel);
  }

  sendAll(): void {
    this.announcer.sendAll(this.link as unknown as Link);
  }

  probe(nonce: number): void {
    this.announcer.echo(this.link as unknown as Link, nonce);
  }

  flush(): void {
    this.announcer.sync(Infinity);
  }
}

const manyTurns = 8;

describe('a complete announcement', () => {
  it('takes several turns, and is confirmed at its end', async () => {
    const worker = new Worker();
    worker.open(2 * announceChunk + 1);
    worker.flush();
    worker.frames.length = 0;
    const perTurn: number[] = [];
    let before = 0;
    worker.sendAll();
    worker.flush();
    for (let turn = 0; turn < manyTurns; turn += 1) {
      perTurn.push(worker.frames.length - before);
      before = worker.frames.length;
      await nextTurn();
    }
    assert.deepEqual(perTurn.slice(0, 4), [1 + announceChunk, announceChunk, 2, 0]);
    assert.equal(worker.frames.at(-1), `sync ${2 * announceChunk + 1}`);
  });

  it('lets new interest pass at once, and confirms it only with all other interest', async () => {
    const worker = new Worker();
    worker.open(announceChunk + 1);
    worker.sendAll();
    worker.frames.length = 0;
    worker.open(1);
    worker.flush();
    worker.probe(7);
    assert.deepEqual(worker.frames, [`add ${announceChunk + 2}`]);
    for (let turn = 0; turn < manyTurns; turn += 1) await nextTurn();
    const last = announceChunk + 2;
    assert.deepEqual(worker.frames, [`add ${last}`, `add ${last - 1}`, `sync ${last}`, 'echo 7']);
    worker.open(1);
    worker.flush();
    worker.probe(8);
    assert.deepEqual(worker.frames.slice(-3), [`add ${last + 1}`, `sync ${last + 1}`, 'echo 8']);
  });

  it('confirms nothing that it has not announced, whatever happens meanwhile', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('open' as const),
        count: fc.integer({ min: 1, max: 2 * announceChunk }),
      }),
      fc.record({
        kind: fc.constant('close' as const),
        count: fc.integer({ min: 0, max: 3 * announceChunk }),
      }),
      fc.record({
        kind: fc.constantFrom('stop' as const, 'turn' as const, 'flush' as const, 'probe' as const),
        count: fc.nat(),
      }),
      fc.record({ kind: fc.constant('recover' as const), count: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const worker = new Worker();
        let nonce = 0;
        for (const { kind, count } of steps) {
          if (kind === 'open') worker.open(count);
          else if (kind === 'close') worker.close(count);
          else if (kind === 'stop') worker.link.writable = false;
          else if (kind === 'turn') await nextTurn();
          else if (kind === 'flush') worker.flush();
          else if (kind === 'probe') worker.probe((nonce += 1));
          else {
            worker.link.writable = true;
            worker.sendAll();
          }
        }
        worker.link.writable = true;
        worker.sendAll();
        const isOver = () => worker.frames.slice(-2).some((frame) => frame.startsWith('sync'));
        while (!isOver()) await nextTurn();
        assert.ok(nonce === 0 || worker.frames.includes(`echo ${nonce}`));
      }),
      { numRuns: 60 },
    );
  });
});
