/** The barrier: who may be told `connected`, and when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Barrier } from '../../src/relay/barrier.ts';

function joined(barrier: Barrier, sequence: number): () => boolean {
  let done = false;
  barrier.wait(sequence, () => (done = true));
  return () => done;
}

describe('Barrier', () => {
  it('opens at once where there are no siblings', () => {
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

  it('takes an ack for all interest up to its number and for none beyond', () => {
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

  it('does not wait for a sibling that is gone', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.forget('a');
    assert.ok(first());
  });

  it('goes on waiting for a sibling whose link is made anew', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.require('a');
    assert.equal(first(), false);
    barrier.ack('a', 1);
    assert.ok(first());
  });

  it('leaves an ack from a stranger, or an old one, without effect', () => {
    const barrier = new Barrier();
    barrier.require('a');
    barrier.announced(1);
    const first = joined(barrier, 1);
    barrier.ack('stranger', 9);
    barrier.ack('a', 0);
    assert.equal(first(), false);
  });
});
