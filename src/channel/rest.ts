/**
 * The rest of a busy channel: after a write it waits a little, so that what comes meanwhile leaves in one write
 * too. The larger the audience, the dearer a write and the longer the rest; the first message after a quiet time
 * never waits.
 */
import { processStart } from '../clock.ts';

/** A write takes about 8 µs per member: with this rest one channel takes a quarter of the time at most. */
const restMsPerMember = 0.03;
/** A timer cannot wait for less. */
const minRestMs = 1;
/** What has collected so many bytes does not wait for the end of the rest. */
export const maxRestingBytes = 64 * 1024;

/**
 * @param audience members of the channel on the whole hub, as far as it is known
 * @param maxRestMs the longest rest; 0: channels never rest
 */
export function restMs(audience: number, maxRestMs: number): number {
  const rest = Math.min(maxRestMs, audience * restMsPerMember);
  return rest < minRestMs ? 0 : Math.round(rest);
}

/**
 * When the rest that begins now ends. The rests of all workers end together, at multiples of their length on the
 * clock that they share: what they send each other then comes in few wakes instead of one for each sibling.
 * @param now milliseconds of `performance.now()`, and so is the result; Infinity: all rests were ended
 * @param rest 0: there is none
 */
export function endOfRest(now: number, rest: number): number {
  if (rest === 0 || now === Infinity) return 0;
  const start = processStart * 1000;
  return (Math.floor((now + start) / rest) + 1) * rest - start;
}
