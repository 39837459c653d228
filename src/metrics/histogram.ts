/**
 * A histogram that is cheap enough for every message: nothing is allocated after its construction. snapshot.ts copies it into
 * a metric.
 */
export class Histogram {
  /** upper bounds, inclusive, ascending */
  readonly bounds: readonly number[];
  /** values per bucket, not cumulative; the last bucket has no bound */
  readonly counts: Float64Array;
  /** sum of all values */
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    while (value > (this.bounds[bucket] ?? Infinity)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }
}

/** Seconds between processes of one machine. */
export const ipcBuckets = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
] as const;

/** Seconds over a client's network. */
export const netBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Recipients. */
export const fanBuckets = [1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000] as const;

/** Seconds of HTTP requests and garbage collector pauses: few buckets, because there is one histogram per label. */
export const coarseBuckets = [0.001, 0.01, 0.1, 1, 2.5] as const;
