/**
 * A token bucket as one number: the time at which the bucket will be full again (generic cell rate algorithm, ITU-T I.371). Pure
 * functions; nothing is allocated or swept, because any time in the past means a full bucket.
 */

/** Rate and capacity of a bucket. */
export interface BucketShape {
  /** time to refill one token, in ms */
  readonly costMs: number;
  /** time from empty to full, in ms */
  readonly spanMs: number;
}

/** A full bucket: the initial value. */
export const fullBucket = 0;

/**
 * @param perSecond tokens refilled per second; 0: no limit
 * @param burst capacity in tokens
 */
export function bucketShape(perSecond: number, burst: number): BucketShape {
  if (perSecond === 0) return { costMs: 0, spanMs: Infinity };
  return { costMs: 1000 / perSecond, spanMs: (Math.max(burst, 1) * 1000) / perSecond };
}

/**
 * Takes tokens from a bucket.
 * @param fullAt the bucket
 * @param now milliseconds of a monotonic clock
 * @returns the new value of the bucket; NaN: too few tokens, and the bucket is unchanged
 */
export function take(fullAt: number, shape: BucketShape, tokens: number, now: number): number {
  const next = (fullAt > now ? fullAt : now) + tokens * shape.costMs;
  // The tolerance of a thousandth of a ms covers rounding errors.
  return next - now <= shape.spanMs + 0.001 ? next : NaN;
}
