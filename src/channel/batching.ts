/**
 * The batching window of a busy channel: after a write, later publications are collected for a few ms so that they
 * leave in one write. The larger the audience, the more a write costs and the longer the window. The first
 * publication after a quiet time never waits.
 */
import { availableParallelism } from 'node:os';
import { processStart } from '../platform/clock.ts';
import { delayMsPerMember, maxMemberOffsetMs, minDelayMs } from './tuning.ts';

/** Limits of the batching windows of a hub. */
export interface BatchingLimits {
  readonly msPerMember: number;
  /** the longest window; 0: no batching */
  readonly maxMs: number;
}

/**
 * Returns the limits for this machine. If workers share a CPU, windows are longer by the same factor, because each
 * message costs CPU time in every worker.
 * @param maxDelayMs the longest window if every worker has its own CPU
 */
export function batchingLimits(
  maxDelayMs: number,
  workers = 1,
  cpus = availableParallelism(),
): BatchingLimits {
  const workersPerCpu = Math.max(1, workers / cpus);
  return { msPerMember: delayMsPerMember * workersPerCpu, maxMs: maxDelayMs * workersPerCpu };
}

/**
 * Returns the length of the batching window in ms; 0: none.
 * @param audience members of the channel on the whole hub, as far as known
 */
export function batchDelayMs(audience: number, { msPerMember, maxMs }: BatchingLimits): number {
  const delayMs = Math.min(maxMs, audience * msPerMember);
  return delayMs < minDelayMs ? 0 : Math.round(delayMs);
}

/** Time in ms by which the window of local members ends after the window of siblings. */
export function memberOffsetMs(delayMs: number): number {
  return Math.min(maxMemberOffsetMs, delayMs / 3);
}

/**
 * Returns the end of the window that starts now. The windows of all workers end together, at multiples of their
 * length on the shared clock, so that frames of several siblings arrive together and cause fewer wake-ups.
 * @param now milliseconds of `performance.now()`, like the result; `Infinity`: no window is open
 * @param delayMs length of the window; 0: no window
 * @param lagMs time by which the window ends after the common end; less than `delayMs`
 */
export function windowEnd(now: number, delayMs: number, lagMs = 0): number {
  if (delayMs === 0 || now === Infinity) return 0;
  const start = processStart * 1000 - lagMs;
  return (Math.floor((now + start) / delayMs) + 1) * delayMs - start;
}

/**
 * Returns when a new publication is due for a sibling: at once after a quiet time, else at the end of the window.
 * @param last when the previous publication was or will be sent; `-Infinity`: there was none
 */
export function relayDueAt(now: number, last: number, delayMs: number): number {
  return last > now ? last : Math.max(now, windowEnd(last, delayMs));
}
