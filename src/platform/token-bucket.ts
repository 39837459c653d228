/**
 * A token bucket as one number: the moment at which the bucket would be full again (the generic cell rate
 * algorithm, ITU-T I.371). Dry: values in, values out, nothing to allocate and nothing to sweep, because a moment
 * that has passed is a full bucket.
 */

/** How fast a bucket fills, and how much it holds. */
export interface BucketShape {
  /** milliseconds until one token has come back */
  readonly costMs: number;
  /** milliseconds from empty to full */
  readonly spanMs: number;
}

/** A bucket that is full: what one starts with. */
export const fullBucket = 0;

/**
 * @param perSecond tokens that come back each second; 0: no limit
 * @param burst tokens that an untouched bucket holds
 */
export function bucketShape(perSecond: number, burst: number): BucketShape {
  if (perSecond === 0) return { costMs: 0, spanMs: Infinity };
  return { costMs: 1000 / perSecond, spanMs: (Math.max(burst, 1) * 1000) / perSecond };
}

/**
 * Takes tokens out.
 * @param fullAt the bucket
 * @param now milliseconds of a monotonic clock
 * @returns the bucket afterwards; NaN if it holds too few, and then it stays as it was
 */
export function take(fullAt: number, shape: BucketShape, tokens: number, now: number): number {
  const next = (fullAt > now ? fullAt : now) + tokens * shape.costMs;
  // A thousandth of a millisecond for what adding fractions loses.
  return next - now <= shape.spanMs + 0.001 ? next : NaN;
}
