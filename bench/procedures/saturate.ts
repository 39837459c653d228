// The highest rate at which every message arrives and p99 stays under the limit: raised until it fails, then
// narrowed; in coarse steps where it is not narrowed. Each step has a fresh server, so that none inherits the backlog
// of the one before.
import type { Outcome } from '../metrics.ts';
import { steady } from './steady.ts';
import type { Trial } from './trial.ts';

const p99LimitMs = 50;
const lowestPerSecond = 100;
const highestPerSecond = 100_000;

interface Search {
  best: Outcome | null;
  /** The highest rate that has held so far, 0 when none has. */
  passed: number;
  /** The lowest rate that has not, Infinity when none has failed, and what went wrong there. */
  failed: number;
  why: string;
}

export async function saturate(trial: Trial): Promise<Outcome> {
  const search: Search = { best: null, passed: 0, failed: Infinity, why: '' };
  const step = trial.durations.refinements > 0 ? 2 : 8;
  await attempt(trial, search, trial.load.perSecond);
  while (search.failed === Infinity && search.passed < highestPerSecond) {
    await attempt(trial, search, search.passed * step);
  }
  if (search.failed === Infinity && search.best) {
    return { ...search.best, notes: [`holds even at ${search.passed} messages/s, the highest rate tried`] };
  }
  while (search.passed === 0 && search.failed > lowestPerSecond) {
    await attempt(trial, search, search.failed / step);
  }
  for (let i = 0; i < trial.durations.refinements && search.passed > 0; i++) {
    await attempt(trial, search, Math.sqrt(search.passed * search.failed));
  }
  const note = `fails at ${search.failed.toFixed(0)} messages/s: ${search.why}`;
  return { metrics: search.best?.metrics ?? {}, notes: [note] };
}

/** A rate has failed when every attempt at it does: one stumble of the machine must not end a thorough search. */
async function attempt(trial: Trial, search: Search, perSecond: number): Promise<void> {
  const loaded = { ...trial, load: { ...trial.load, perSecond } };
  let outcome = await steady(loaded);
  for (let i = 1; i < trial.durations.attempts && !holds(outcome); i++) outcome = await steady(loaded);
  if (holds(outcome)) {
    search.best = outcome;
    search.passed = perSecond;
  } else {
    search.failed = perSecond;
    search.why = [`p99 ${outcome.metrics.p99Ms?.toFixed(0)} ms`, ...outcome.notes].join('; ');
  }
}

/** With any complaint, a generator that sends late included, a rate has not been held. */
function holds({ metrics, notes }: Outcome): boolean {
  return notes.length === 0 && (metrics.p99Ms ?? Infinity) < p99LimitMs;
}
