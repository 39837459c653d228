/** What leaves for the siblings when channels are opened one after the other: a lone join at once, many together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Announcer } from '../../../src/relay/mesh/announcer.ts';
import type { RelayChannel } from '../../../src/relay/relay.ts';
import type { FrameEncoder } from '../../../src/relay/mesh/frame-encoder.ts';
import type { Link, Peer } from '../../../src/relay/mesh/link.ts';
import { Missed } from '../../../src/relay/mesh/missed.ts';

const restMs = 5;

function channel(id: number): RelayChannel {
  return { id, name: `channel ${id}`, members: { size: 0 }, congested: false };
}

/** An announcer with one sibling, and the frames on the link to it. */
function announcing(rest = restMs): {
  announcer: Announcer;
  told: string[];
  wakes: () => number;
  peer: Peer;
} {
  const told: string[] = [];
  let wakes = 0;
  const out = {
    add: (id: number) => told.push(`add ${id}`),
    sync: (sequence: number) => told.push(`sync ${sequence}`),
  } as unknown as FrameEncoder;
  const link = { writable: true, out, deferred: out } as unknown as Link;
  const peer: Peer = {
    workerId: 'w2',
    path: '',
    link,
    everLinked: true,
    synced: true,
    connections: 0,
    leaving: false,
    quiet: false,
    missed: new Missed(),
  };
  const interest = {
    channels: () => [],
    connections: () => 0,
    wake: () => {
      wakes += 1;
    },
  };
  return { announcer: new Announcer(interest, [peer], rest), told, wakes: () => wakes, peer };
}

/** Announces and flushes until the flush is told to wait; returns how long. */
function exhausted({ announcer }: { announcer: Announcer }, now: number): { joins: number; wait: number } {
  for (let joins = 0; ; joins += 1) {
    announcer.announce(channel(joins + 1));
    const wait = announcer.sync(now);
    if (wait !== Infinity) return { joins, wait };
  }
}

describe('Announcer', () => {
  it('requests acks at once, and together for joins in quick succession', () => {
    const { announcer, told, wakes } = announcing();
    assert.deepEqual(exhausted({ announcer }, 1_000), { joins: 21, wait: restMs });
    assert.deepEqual(told.splice(0).slice(0, 4), ['add 1', 'sync 1', 'add 2', 'sync 2']);

    announcer.announce(channel(23));
    assert.equal(announcer.sync(1_002), restMs - 2);
    assert.equal(wakes(), 23, 'each asks for a flush');
    assert.equal(announcer.sync(1_000 + restMs), Infinity);
    assert.deepEqual(told.splice(0), ['add 23', 'sync 23']);

    assert.equal(announcer.sync(1_000 + restMs), Infinity, 'nothing is left to ask for');
    announcer.announce(channel(24));
    assert.equal(announcer.sync(1_001 + restMs), restMs - 1);
    assert.equal(announcer.sync(Infinity), Infinity, 'all is flushed');
    assert.deepEqual(told, ['add 24', 'sync 24']);
  });

  it('delays acks only after many joins that follow a quiet time', () => {
    const hub = announcing();
    exhausted(hub, 1_000);
    hub.announcer.sync(1_005);
    assert.equal(exhausted(hub, 1_055).joins, 10, 'in 50 ms half of it has come back');
    hub.announcer.sync(Infinity);
    assert.equal(exhausted(hub, 9_000).joins, 21, 'and all of it in time, but no more');
  });

  it('has no delay without siblings', () => {
    const { announcer, peer } = announcing();
    peer.link = null;
    for (let id = 1; id <= 100; id += 1) {
      announcer.announce(channel(id));
      assert.equal(announcer.sync(1_000), Infinity);
    }
  });

  it('has a delay of at most 5 ms, and none without batching', () => {
    assert.equal(exhausted(announcing(1_000), 1_000).wait, 5);
    const { announcer } = announcing(0);
    for (let id = 1; id <= 100; id += 1) {
      announcer.announce(channel(id));
      assert.equal(announcer.sync(1_000), Infinity);
    }
  });
});
