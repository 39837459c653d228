/**
 * The rest of a busy channel: after a write it waits a little, so that what comes meanwhile leaves in one write
 * too. The larger the audience, the dearer a write and the longer the rest; the first message after a quiet time
 * never waits.
 */
import { availableParallelism } from 'node:os';
import { processStart } from '../platform/clock.ts';
import { delayMsPerMember, maxMemberOffsetMs, minDelayMs } from './tuning.ts';

/** How long the channels of a hub rest. */
export interface BatchingLimits {
  readonly msPerMember: number;
  /** 0: channels never rest */
  readonly maxMs: number;
}

/**
 * Where several workers share a CPU they rest longer by as much: each has only its part of the time, and every message
 * costs each of them.
 * @param maxDelayMs the longest rest where every worker has a CPU of its own
 */
export function batchingLimits(
  maxDelayMs: number,
  workers = 1,
  cpus = availableParallelism(),
): BatchingLimits {
  const workersPerCpu = Math.max(1, workers / cpus);
  return { msPerMember: delayMsPerMember * workersPerCpu, maxMs: maxDelayMs * workersPerCpu };
}

/** @param audience members of the channel on the whole hub, as far as it is known */
export function batchDelayMs(audience: number, { msPerMember, maxMs }: BatchingLimits): number {
  const rest = Math.min(maxMs, audience * msPerMember);
  return rest < minDelayMs ? 0 : Math.round(rest);
}

/** By how much the rests of what goes to members end later than those of what goes to siblings. */
export function memberOffsetMs(rest: number): number {
  return Math.min(maxMemberOffsetMs, rest / 3);
}

/**
 * When the rest that begins now ends. The rests of all workers end together, at multiples of their length on the
 * clock that they share: what they send each other then comes in few wakes instead of one for each sibling.
 * @param now milliseconds of `performance.now()`, and so is the result; Infinity: all rests were ended
 * @param rest 0: there is none
 * @param lag milliseconds behind that moment; less than the rest
 */
export function windowEnd(now: number, rest: number, lag = 0): number {
  if (rest === 0 || now === Infinity) return 0;
  const start = processStart * 1000 - lag;
  return (Math.floor((now + start) / rest) + 1) * rest - start;
}

/**
 * When that leaves for a sibling which comes now: at once after a quiet time, else when the rest ends.
 * @param last when the one before it left, or is to leave; -Infinity: there was none
 */
export function relayDueAt(now: number, last: number, rest: number): number {
  return last > now ? last : Math.max(now, windowEnd(last, rest));
}
