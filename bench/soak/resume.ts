/**
 * A soak of resume: `npm run soak:resume -- --minutes 10 --seed 1` (fractions allowed). Workers, the broker and the whole
 * hub are killed, stopped, reloaded and restarted in the order that the seed gives, while clients leave and come back
 * with their positions. It exits with 1 if anything contradicts the model, or if one of the troubles did not happen.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ResumeOracle } from './resume/oracle.ts';
import { Random } from './resume/random.ts';
import { troubles } from './resume/troubled-hub.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    clients: { type: 'string', default: '200' },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const [seed, clients] = [Number(values.seed), Number(values.clients)];
if (!(durationMs > 0)) throw new Error('--minutes must be a number above 0');

const stateDir = mkdtempSync(join(tmpdir(), 'wshub-soak-'));
process.stdout.write(`seed ${seed}\n`);
const oracle = await ResumeOracle.start({ stateDir, seed, clients, publishEveryMs: 50 });
const random = new Random(seed);
const startedAt = performance.now();
let rounds = 0;
for (; performance.now() - startedAt < durationMs; rounds += 1) {
  for (const trouble of random.shuffled(troubles)) {
    await oracle.pause(200, 4_000);
    await oracle.trouble(trouble);
  }
}
const { faults, summary } = await oracle.finish();
rmSync(stateDir, { recursive: true });
process.stdout.write(summary);
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.exit(faults.length > 0 || rounds === 0 ? 1 : 0);
