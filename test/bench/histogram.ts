// Counts of microseconds in buckets that grow with the value, so that a quantile is right to 1.6 %: cheap to record,
// small enough to send between processes.

// Below `exact` every microsecond has its own bucket; above, each doubling is cut into `perDoubling`.
const exactBits = 6;
const exact = 2 ** exactBits;
const perDoubling = exact / 2;
const largest = 2 ** 31 - 1;
const bucketCount = (31 - exactBits) * perDoubling + exact;

export class Histogram {
  readonly #buckets: number[];

  constructor(buckets?: readonly number[]) {
    this.#buckets = buckets ? [...buckets] : new Array<number>(bucketCount).fill(0);
  }

  record(us: number): void {
    const bucket = bucketOf(us);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  add(other: readonly number[]): void {
    other.forEach((count, bucket) => {
      this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + count;
    });
  }

  /** In milliseconds; NaN when nothing was recorded. */
  quantileMs(q: number): number {
    const total = this.#buckets.reduce((sum, count) => sum + count, 0);
    let left = Math.ceil(total * q);
    for (const [bucket, count] of this.#buckets.entries()) {
      left -= count;
      if (count > 0 && left <= 0) return middleOf(bucket) / 1e3;
    }
    return NaN;
  }

  /** The counts so far, and starts again from none. */
  take(): number[] {
    const taken = [...this.#buckets];
    this.#buckets.fill(0);
    return taken;
  }
}

function bucketOf(us: number): number {
  const value = Math.min(Math.max(us, 0), largest);
  if (value < exact) return value;
  const doublings = 32 - Math.clz32(value) - exactBits;
  return doublings * perDoubling + (value >> doublings);
}

function middleOf(bucket: number): number {
  if (bucket < exact) return bucket;
  const doublings = Math.floor(bucket / perDoubling) - 1;
  const low = (bucket - doublings * perDoubling) * 2 ** doublings;
  return low + 2 ** doublings / 2;
}
