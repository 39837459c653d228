// What server and generators have done up to one moment, and what happened between two of them.
import type { Snapshot } from '../generator/generator.ts';
import { Histogram } from '../histogram.ts';
import type { Metrics } from '../metrics.ts';
import { cpuUs } from '../proc-stats.ts';
import type { Stage } from './trial.ts';

const tolerableLatenessMs = 10;

export interface Observation {
  readonly atMs: number;
  readonly serverCpuUs: number;
  readonly parts: readonly Snapshot[];
}

export async function observe({ serverPid, fleet }: Stage): Promise<Observation> {
  const atMs = performance.now();
  const serverCpuUs = cpuUs(serverPid);
  return { atMs, serverCpuUs, parts: await fleet.call('snapshot', () => []) };
}

export function total(observation: Observation, field: 'sent' | 'received' | 'lost' | 'cpuUs'): number {
  return observation.parts.reduce((sum, part) => sum + part[field], 0);
}

export function merged(observations: readonly Observation[], field: 'delays' | 'lateness'): Histogram {
  const histogram = new Histogram();
  for (const { parts } of observations) for (const part of parts) histogram.add(part[field]);
  return histogram;
}

/** Per second, by each generator's own clock: they do not answer at the same moment when they are busy. */
export function rateBetween(from: Observation, to: Observation, field: 'sent' | 'received'): number {
  return to.parts.reduce((sum, part, i) => {
    const earlier = from.parts[i];
    return earlier ? sum + ((part[field] - earlier[field]) * 1e6) / (part.atUs - earlier.atUs) : sum;
  }, 0);
}

export function coresBetween(from: Observation, to: Observation): Metrics {
  const elapsedUs = (to.atMs - from.atMs) * 1e3;
  return {
    serverCores: (to.serverCpuUs - from.serverCpuUs) / elapsedUs,
    generatorCores: (total(to, 'cpuUs') - total(from, 'cpuUs')) / elapsedUs,
  };
}

/** What makes a measurement less than it should be. */
export function complaints(measured: Observation, end: Observation, expected: number): string[] {
  const notes: string[] = [];
  const missing = expected - total(end, 'received');
  if (missing > 0) notes.push(`${missing} of ${expected} had not arrived when the wait ended`);
  if (missing < 0) notes.push(`${-missing} arrived more often than once`);
  const failure = end.parts.find(({ lastFailure }) => lastFailure !== '')?.lastFailure;
  if (failure !== undefined) notes.push(`${total(end, 'lost')} connections lost: ${failure}`);
  const lateMs = merged([measured], 'lateness').quantileMs(0.99);
  if (lateMs > tolerableLatenessMs) notes.push(`the generator sent late: p99 ${lateMs.toFixed(0)} ms`);
  return notes;
}
