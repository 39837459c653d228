/** The barrier: when a client may be sent `connected`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Barrier } from '../../../src/relay/mesh/barrier.ts';

function joined(barrier: Barrier, sequence: number): () => boolean {
  let done = false;
  barrier.wait(sequence, () => (done = true));
  return () => done;
}

describe('Barrier', () => {
  it('opens at once without siblings', () => {
    const barrier = new Barrier();
    barrier.announced(1);
    assert.ok(joined(barrier, 1)());
  });

  it('opens when every sibling has acknowledged, and not before', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.require('b');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.ack('a', 1);
    assert.equal(first(), false);
    barrier.ack('b', 1);
    assert.ok(first());
    assert.ok(joined(barrier, 1)(), 'a later join of the same channel needs no round trip');
  });

  it('accepts an ack for all interest up to its number and for none after it', () => {
    const barrier = new Barrier();
    barrier.require('a');
    for (const sequence of [1, 2, 3]) barrier.announced(sequence);
    const waits = [1, 2, 3].map((sequence) => joined(barrier, sequence));
    barrier.ack('a', 2);
    assert.deepEqual(
      waits.map((done) => done()),
      [true, true, false],
    );
  });

  it('does not wait for a sibling that is suspected, and waits again once it is trusted', () => {
    const barrier = new Barrier();
    for (const sibling of ['a', 'b']) barrier.require(sibling);
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.ack('a', 1);
    assert.equal(first(), false);
    barrier.suspect('b');
    assert.ok(first());
    barrier.announced(2);
    const second = joined(barrier, 2);
    assert.equal(second(), false, 'the others are waited for');
    barrier.suspect('a');
    assert.ok(second());
    barrier.announced(3);
    assert.ok(joined(barrier, 3)(), 'nobody is left to be waited for');
    barrier.trust('b');
    barrier.announced(4);
    const fourth = joined(barrier, 4);
    assert.equal(fourth(), false);
    barrier.ack('b', 4);
    assert.ok(fourth());
  });

  it('does not wait for a sibling that has ended', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.forget('a');
    assert.ok(first());
  });

  it('continues to wait for a sibling with a new link', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.require('a');
    assert.equal(first(), false);
    barrier.ack('a', 1);
    assert.ok(first());
  });

  it('ignores an ack of an unknown sibling, and an old one', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.ack('stranger', 9);
    barrier.ack('a', 0);
    assert.equal(first(), false);
  });
});
