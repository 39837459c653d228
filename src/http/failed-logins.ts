/**
 * How often one address (or one /64 of IPv6) may come with a wrong admin token or API key before it must wait: guessing one
 * that a person has chosen would otherwise only cost time. In bounded memory: if ever so many addresses fail, the oldest
 * are forgotten.
 */
import { addressKey } from '../platform/address-key.ts';
import { bucketShape, fullBucket, take, type BucketShape } from '../platform/token-bucket.ts';

const maxAddresses = 10_000;

export class FailedLogins {
  readonly #shape: BucketShape;
  /** one bucket for each address that has failed, the latest last; see token-bucket.ts */
  readonly #buckets = new Map<string, number>();

  /** @param perMinute wrong tokens of one address in a minute; 0: no limit */
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
