/** The drain pacer: closes are even, complete and in time, however late its slices are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DrainPacer, graceMs, sliceMs } from '../../src/worker/drain-pacer.ts';

/** Runs a plan to its end, closing all that is due; each slice comes late by the next of `delays`. */
function run(total: number, spreadMs: number, delays: readonly number[]) {
  const plan = new DrainPacer(total, spreadMs, 0);
  const slices: { at: number; closed: number }[] = [];
  let left = total;
  for (let now = 0, n = 0; left > 0; now += sliceMs + (delays[n] ?? 0), n += 1) {
    const closed = plan.due(now);
    assert.ok(closed <= left);
    plan.closed(closed);
    left -= closed;
    slices.push({ at: now, closed });
  }
  return slices;
}

const totals = fc.integer({ min: 1, max: 50_000 });
const spreads = fc.integer({ min: 2 * sliceMs, max: 120_000 });

describe('DrainPacer', () => {
  it('closes all connections within the spread, in slices of at most twice the mean', () => {
    fc.assert(
      fc.property(totals, spreads, (total, spreadMs) => {
        const slices = run(total, spreadMs, []);
        const mean = (total * sliceMs) / spreadMs;
        for (const { closed } of slices) assert.ok(closed <= Math.max(1, 2 * mean), `${closed} of ${mean}`);
        assert.ok((slices.at(-1)?.at ?? 0) <= spreadMs);
      }),
    );
  });

  it('is never ahead of an even pace by more than one slice', () => {
    fc.assert(
      fc.property(totals, spreads, (total, spreadMs) => {
        let closed = 0;
        for (const slice of run(total, spreadMs, [])) {
          closed += slice.closed;
          assert.ok(closed <= Math.ceil((total * (slice.at + sliceMs)) / spreadMs));
        }
      }),
    );
  });

  it('catches up evenly after late slices, and ends within the grace period', () => {
    const delays = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 2_000 });
    fc.assert(
      fc.property(totals, spreads, delays, (total, spreadMs, late) => {
        const slices = run(total, spreadMs, late);
        const mean = (total * sliceMs) / spreadMs;
        const inTime = slices.filter(({ at }) => at < spreadMs + graceMs);
        for (const { closed } of inTime) assert.ok(closed <= Math.max(1, 2 * mean));
        assert.ok(slices.length - inTime.length <= 1, 'one slice behind the grace closes all that are left');
      }),
    );
  });

  it('closes a single connection at once, and all connections at once without a spread', () => {
    assert.equal(new DrainPacer(1, 30_000, 0).due(0), 1);
    assert.equal(new DrainPacer(5_000, 0, 0).due(0), 5_000);
  });

  it('plans connections that were added later', () => {
    const plan = new DrainPacer(1, 1_000, 0);
    plan.closed(plan.due(0));
    assert.equal(plan.due(100), 0);
    plan.add(9);
    assert.equal(plan.due(100), 1);
  });
});
