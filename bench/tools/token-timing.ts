/**
 * Measures whether the time of a wrong admin token tells how much of it was right: `node bench/tools/token-timing.ts`.
 * Welch's t between the times of tokens that differ at once and of tokens that differ in the last character; dudect
 * (Reparaz et al. 2017) calls more than 4.5 a leak.
 */
import { randomBytes } from 'node:crypto';
import { identifier } from '../../src/auth/api-keys.ts';
import { authenticator } from '../../src/http/authenticate.ts';
import { FailedLogins } from '../../src/http/failed-logins.ts';
import { createLog } from '../../src/platform/log.ts';

const rounds = 300_000;
const token = randomBytes(32).toString('base64url');
const wrongAtOnce = `${token.startsWith('x') ? 'y' : 'x'}${token.slice(1)}`;
const wrongAtLast = `${token.slice(0, -1)}${token.endsWith('x') ? 'y' : 'x'}`;
const log = createLog('silent', 'test', 'json');
const authenticate = authenticator({
  identify: identifier(token, []),
  failedLogins: new FailedLogins(0),
  address: () => '',
  log,
});

function once(given: string): number {
  const get = (name: string) => (name === 'authorization' ? `Bearer ${given}` : '');
  const startedAt = process.hrtime.bigint();
  try {
    authenticate({ get, req: {} } as never);
  } catch {
    // it is wrong
  }
  return Number(process.hrtime.bigint() - startedAt);
}

/** Mean and variance, without the slowest twentieth: what the machine does besides. */
function summary(times: number[]): { count: number; mean: number; variance: number } {
  const kept = times.toSorted((a, b) => a - b).slice(0, Math.floor(times.length * 0.95));
  const mean = kept.reduce((sum, time) => sum + time, 0) / kept.length;
  const variance = kept.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (kept.length - 1);
  return { count: kept.length, mean, variance };
}

const times: [number[], number[]] = [[], []];
for (let round = 0; round < rounds; round += 1) {
  // In random order, so that neither profits from its turn.
  const late = Math.random() < 0.5;
  const took = once(late ? wrongAtLast : wrongAtOnce);
  if (round > rounds / 10) times[late ? 1 : 0].push(took); // before it is compiled it means nothing
  if (round % 1_000 === 0) await new Promise(setImmediate);
}
const [early, late] = times.map(summary);
if (!early || !late) throw new Error('nothing was measured');
const t = (early.mean - late.mean) / Math.sqrt(early.variance / early.count + late.variance / late.count);
process.stdout.write(
  `wrong in the first character: ${early.mean.toFixed(1)} ns (${early.count})\n` +
    `wrong in the last character:  ${late.mean.toFixed(1)} ns (${late.count})\n` +
    `Welch's t ${t.toFixed(2)}; above 4.5 or below -4.5 the time would tell them apart\n`,
);
