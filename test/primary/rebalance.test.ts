import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { planMoves } from '../../src/primary/rebalance.ts';

const crowds = fc.array(fc.record({ clients: fc.nat(100_000) }), { minLength: 1, maxLength: 32 });

describe('evenMoves', () => {
  it('sends the next client to the worker with one client less', () => {
    const [one, other] = [{ clients: 1 }, { clients: 0 }];
    assert.deepEqual(planMoves([one, other]), [{ from: one, to: other, clients: 1 }]);
  });

  it('moves no client between equal workers, or with a single worker', () => {
    assert.deepEqual(planMoves([{ clients: 7 }, { clients: 7 }]), []);
    assert.deepEqual(planMoves([{ clients: 7 }]), []);
    assert.deepEqual(planMoves([]), []);
  });

  it('moves each worker once, nearer to the mean and at most one client beyond it', () => {
    fc.assert(
      fc.property(crowds, (holders) => {
        const mean = holders.reduce((sum, { clients }) => sum + clients, 0) / holders.length;
        const moves = planMoves(holders);
        assert.equal(new Set(moves.flatMap(({ from, to }) => [from, to])).size, 2 * moves.length);
        for (const { from, to, clients } of moves) {
          assert.ok(clients >= 1);
          assert.ok(from.clients - clients > mean - 1 && to.clients + clients < mean + 1);
        }
        const uneven = holders.some(({ clients }) => clients !== holders[0]?.clients);
        assert.equal(moves.length > 0, uneven);
      }),
    );
  });
});
