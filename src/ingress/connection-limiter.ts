/**
 * Limits the number of connections and the rate of new ones, per worker and per address. Has no clock: the time is an argument.
 * Memory is bounded, because an address is stored only while it has a connection or its bucket is not full.
 */
import type { AddressQuota } from '../client/client.ts';
import { addressKey } from '../platform/address-key.ts';
import { HubError } from '../platform/errors.ts';
import { bucketShape, fullBucket, take, type BucketShape } from '../platform/token-bucket.ts';

export interface ConnectionLimits {
  maxConnections: number;
  /** 0: no limit; also for the rates */
  maxConnectionsPerAddress: number;
  /** new connections per second, with a burst of `burstSeconds` */
  connectRate: number;
  connectRatePerAddress: number;
}

/** Burst, in seconds of the rate: after an interruption clients reconnect together. */
const burstSeconds = 5;

/** Interval at which stored addresses are swept. */
const sweepIntervalMs = 5_000;

function newQuota(key: string): AddressQuota {
  return { key, connections: 0, bucket: fullBucket };
}

export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #rate: BucketShape;
  readonly #ratePerAddress: BucketShape;
  /** false: no address can reach a limit before the worker does, so addresses need not be read */
  readonly byAddress: boolean;
  readonly #sources = new Map<string, AddressQuota>();
  /** shared by all clients unless `byAddress` */
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

  /** Number of admitted clients. */
  get connections(): number {
    return this.#connections;
  }

  /** Number of stored addresses. */
  get size(): number {
    return this.#sources.size;
  }

  /**
   * Admits a client; the caller must call `leave` later.
   * @param address may be empty unless `byAddress`
   * @param now milliseconds of a monotonic clock
   * @throws {HubError} `overloaded`, `too_many_connects`: limits of the worker; `too_many_connections`, `rate_limited`: limits of
   * the address
   */
  enter(address: string, now: number): AddressQuota {
    const { maxConnections, maxConnectionsPerAddress } = this.#limits;
    if (this.#connections >= maxConnections) throw new HubError('overloaded');
    const source = this.#sourceOf(address);
    if (maxConnectionsPerAddress > 0 && source.connections >= maxConnectionsPerAddress) {
      throw new HubError('too_many_connections');
    }
    this.#take(source, now);
    this.#connections += 1;
    source.connections += 1;
    return source;
  }

  /**
   * Counts a request that is not admitted towards the rates.
   * @throws {HubError} `too_many_connects`, `rate_limited`
   */
  charge(address: string, now: number): void {
    this.#take(this.#sourceOf(address), now);
  }

  #sourceOf(address: string): AddressQuota {
    if (!this.byAddress) return this.#anyone;
    const key = addressKey(address);
    return this.#sources.get(key) ?? newQuota(key);
  }

  /** Takes a token of the address and one of the worker, or none. */
  #take(source: AddressQuota, now: number): void {
    const own = this.byAddress ? take(source.bucket, this.#ratePerAddress, 1, now) : source.bucket;
    if (Number.isNaN(own)) throw new HubError('rate_limited', 'too many new connections from this address');
    const all = take(this.#bucket, this.#rate, 1, now);
    if (Number.isNaN(all)) throw new HubError('too_many_connects');
    source.bucket = own;
    this.#bucket = all;
    if (source.connections === 0 && this.byAddress) this.#sources.set(source.key, source);
  }

  /** Must be called when an admitted connection is closed, or its handshake has failed. */
  leave(source: AddressQuota): void {
    this.#connections -= 1;
    source.connections -= 1;
  }

  /** Removes addresses without connections and without recent connects. */
  sweep(now: number): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = now + sweepIntervalMs;
    for (const [key, { connections, bucket }] of this.#sources) {
      if (connections === 0 && bucket <= now) this.#sources.delete(key);
    }
  }
}
