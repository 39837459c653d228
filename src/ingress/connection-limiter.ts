/**
 * How many clients may be here, and how fast they may come: on the whole worker and from one address. Dry: the time
 * is given, and what an address costs to remember is bounded, because an address is only kept while it has a
 * connection or its bucket is not full.
 */
import type { AddressQuota } from '../client/client.ts';
import { addressKey } from '../platform/address-key.ts';
import { HubError } from '../platform/errors.ts';
import { bucketShape, fullBucket, take, type BucketShape } from '../platform/token-bucket.ts';

export interface ConnectionLimits {
  maxConnections: number;
  /** 0: no limit, here and below */
  maxConnectionsPerAddress: number;
  /** new connections per second; `burstSeconds` of it may come at once */
  connectRate: number;
  connectRatePerAddress: number;
}

/** What may come at once, in seconds of the rate: clients come back together after an interruption. */
const burstSeconds = 5;

/** Remembered addresses are looked through this often. */
const sweepIntervalMs = 5_000;

function newQuota(key: string): AddressQuota {
  return { key, connections: 0, bucket: fullBucket };
}

export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #rate: BucketShape;
  readonly #ratePerAddress: BucketShape;
  /** an address can reach a limit before the whole worker does; where none can, the system is not asked for it */
  readonly byAddress: boolean;
  readonly #sources = new Map<string, AddressQuota>();
  /** where addresses do not matter */
  readonly #anyone = newQuota('');
  #connections = 0;
  #bucket = fullBucket;
  #nextSweep = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
    this.#rate = bucketShape(limits.connectRate, limits.connectRate * burstSeconds);
    const { connectRate, connectRatePerAddress, maxConnectionsPerAddress } = limits;
    const rateMatters =
      connectRatePerAddress > 0 && (connectRate === 0 || connectRatePerAddress < connectRate);
    this.byAddress = rateMatters || maxConnectionsPerAddress > 0;
    this.#ratePerAddress = bucketShape(connectRatePerAddress, connectRatePerAddress * burstSeconds);
  }

  /** All who were let in and have not left. */
  get connections(): number {
    return this.#connections;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#sources.size;
  }

  /**
   * Lets one in; `leave` must follow.
   * @param address may be empty unless `byAddress`
   * @param now milliseconds of a monotonic clock
   * @throws {HubError} `overloaded` where the worker has reached a limit, `rate_limited` where the address has
   */
  enter(address: string, now: number): AddressQuota {
    if (this.#connections >= this.#limits.maxConnections) throw new HubError('overloaded');
    const source = this.byAddress ? this.#sourceOf(address) : this.#anyone;
    const own = this.byAddress ? this.#takeOwn(source, now) : source.bucket;
    const all = take(this.#bucket, this.#rate, 1, now);
    if (Number.isNaN(all)) throw new HubError('too_many_connects');
    source.bucket = own;
    this.#bucket = all;
    this.#connections += 1;
    source.connections += 1;
    if (source.connections === 1 && this.byAddress) this.#sources.set(source.key, source);
    return source;
  }

  #sourceOf(address: string): AddressQuota {
    const key = addressKey(address);
    return this.#sources.get(key) ?? newQuota(key);
  }

  /** The bucket of an address with one token less. */
  #takeOwn(source: AddressQuota, now: number): number {
    const { maxConnectionsPerAddress } = this.#limits;
    if (maxConnectionsPerAddress > 0 && source.connections >= maxConnectionsPerAddress) {
      throw new HubError('too_many_connections');
    }
    const own = take(source.bucket, this.#ratePerAddress, 1, now);
    if (Number.isNaN(own)) throw new HubError('rate_limited', 'too many new connections from this address');
    return own;
  }

  /** One that was let in has gone, or has not become a connection. */
  leave(source: AddressQuota): void {
    this.#connections -= 1;
    source.connections -= 1;
  }

  /** Forgets the addresses from which nobody is here and nobody has lately come. */
  sweep(now: number): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = now + sweepIntervalMs;
    for (const [key, { connections, bucket }] of this.#sources) {
      if (connections === 0 && bucket <= now) this.#sources.delete(key);
    }
  }
}
