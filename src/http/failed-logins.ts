/**
 * Limits wrong admin tokens and API keys per address (or /64 of IPv6), against guessing of secrets chosen by people. Memory is
 * bounded: with too many failing addresses, the oldest are removed.
 */
import { addressKey } from '../platform/address-key.ts';
import { bucketShape, fullBucket, take, type BucketShape } from '../platform/token-bucket.ts';

const maxAddresses = 10_000;

export class FailedLogins {
  readonly #shape: BucketShape;
  /** a bucket per failed address, the most recent last; see token-bucket.ts */
  readonly #buckets = new Map<string, number>();

  /** @param perMinute wrong secrets per address and minute; 0: no limit */
  constructor(perMinute: number) {
    this.#shape = bucketShape(perMinute / 60, perMinute);
  }

  /** @param now milliseconds of a monotonic clock */
  isBlocked(address: string, now: number): boolean {
    return Number.isNaN(take(this.#buckets.get(addressKey(address)) ?? fullBucket, this.#shape, 1, now));
  }

  failed(address: string, now: number): void {
    const key = addressKey(address);
    const bucket = take(this.#buckets.get(key) ?? fullBucket, this.#shape, 1, now);
    if (Number.isNaN(bucket)) return;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > maxAddresses && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
