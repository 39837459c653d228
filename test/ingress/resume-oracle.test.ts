/** Resume against an independent model, whatever dies. The long form is `npm run soak:resume`. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ResumeOracle } from '../../bench/soak/resume/oracle.ts';
import { Random } from '../../bench/soak/resume/random.ts';
import { troubles } from '../../bench/soak/resume/troubled-hub.ts';
import { temporaryFolder } from '../support.ts';

const seed = 1;

it('clients that return with a position get what they missed, or none of it, whatever dies', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const oracle = await ResumeOracle.start({
    stateDir: temporaryFolder(t),
    seed,
    clients: 12,
    publishEveryMs: 30,
  });
  for (const trouble of new Random(seed).shuffled(troubles)) {
    await oracle.pause(200, 1_500);
    await oracle.trouble(trouble);
  }
  await oracle.pause(500, 1_000);
  const { faults, summary } = await oracle.finish();
  t.diagnostic(summary);
  assert.deepEqual(faults, []);
});
