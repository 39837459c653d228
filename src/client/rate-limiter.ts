/**
 * Limits of one client: messages and bytes per second, and invalid messages. Pings count as messages, because each is
 * answered. The state consists of numbers in the client. The time is the last tick of the worker; the real clock is
 * read only before a refusal.
 */
import type { Counters } from '../metrics/counters.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { bucketShape, take, type BucketShape } from '../platform/token-bucket.ts';

/** The state of one client; client.ts implements it. Times are milliseconds of the clock of the worker. */
export interface RateLimited {
  /** see token-bucket.ts */
  messageBucket: number;
  byteBucket: number;
  /** first and last refusal of the current period over the limit */
  limitedSince: number;
  limitedAt: number;
  /** number of invalid messages since `invalidSince` */
  invalidCount: number;
  invalidSince: number;
  error(code: ErrorCode): void;
  close(reason: CloseReason): void;
}

export interface InboundLimits {
  /** messages per second; 0: no limit */
  messageRate: number;
  messageBurst: number;
  /** bytes per second; 0: no limit. The burst is twice as much, and at least `maxPayload`. */
  byteRate: number;
  maxPayload: number;
  /** number of invalid messages in ten seconds that closes the connection; 0: no limit */
  invalidMessageLimit: number;
}

/** A client that exceeds its rate for this long is disconnected. */
export const sustainedMs = 5_000;
/** A refusal this long after the last one begins a new period. */
const pauseMs = 1_000;
export const invalidWindowMs = 10_000;

/** The part of the clock that is used here; coarse-clock.ts implements it. */
interface Clock {
  readonly now: number;
  refresh(): number;
}

export class RateLimiter {
  readonly #messages: BucketShape;
  readonly #bytes: BucketShape;
  readonly #invalidLimit: number;
  readonly #clock: Clock;
  readonly #counters: Counters;

  constructor(limits: InboundLimits, clock: Clock, counters: Counters) {
    this.#messages = bucketShape(limits.messageRate, limits.messageBurst);
    this.#bytes = bucketShape(limits.byteRate, Math.max(2 * limits.byteRate, limits.maxPayload));
    this.#invalidLimit = limits.invalidMessageLimit;
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Returns false if the message exceeds a limit; then the client has got an error or was closed. */
  allow(client: RateLimited, bytes: number): boolean {
    return this.#takes(client, bytes, this.#clock.now) || this.#takes(client, bytes, this.#clock.refresh())
      ? true
      : this.#refuse(client, this.#clock.now);
  }

  /** Counts a message that was answered with an error because it is not JSON, or binary. */
  invalid(client: RateLimited): void {
    if (this.#invalidLimit === 0) return;
    const { now } = this.#clock;
    if (client.invalidCount === 0 || now - client.invalidSince >= invalidWindowMs) {
      client.invalidCount = 0;
      client.invalidSince = now;
    }
    client.invalidCount += 1;
    if (client.invalidCount >= this.#invalidLimit) client.close('policy_violation');
  }

  #takes(client: RateLimited, bytes: number, now: number): boolean {
    const messages = take(client.messageBucket, this.#messages, 1, now);
    const byteBucket = take(client.byteBucket, this.#bytes, bytes, now);
    // NaN is the only number that differs from itself.
    if (Number.isNaN(messages) || Number.isNaN(byteBucket)) return false;
    client.messageBucket = messages;
    client.byteBucket = byteBucket;
    return true;
  }

  #refuse(client: RateLimited, now: number): false {
    this.#counters.dropped.rate_limited += 1;
    if (now - client.limitedAt > pauseMs) client.limitedSince = now;
    client.limitedAt = now;
    if (now - client.limitedSince >= sustainedMs) client.close('rate_limited');
    else client.error('rate_limited');
    return false;
  }
}
