/**
 * How much one client may say: messages and bytes per second, and messages that nobody can use. Pings count as
 * messages, because each is answered. It works on plain numbers of the connection; the time is the worker's last
 * tick, and the real clock is only read before a refusal.
 */
import type { Counters } from '../metrics/counters.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { bucketShape, take, type BucketShape } from '../platform/token-bucket.ts';

/** What is kept of one client; connection.ts fits. Moments in milliseconds of the worker's clock. */
export interface RateLimited {
  /** see token-bucket.ts */
  messageBucket: number;
  byteBucket: number;
  /** first and last refusal of a time in which it was over its rate without a pause */
  limitedSince: number;
  limitedAt: number;
  /** messages that nobody could use since `invalidSince` */
  invalidCount: number;
  invalidSince: number;
  error(code: ErrorCode): void;
  close(reason: CloseReason): void;
}

export interface InboundLimits {
  /** messages per second; 0: no limit */
  messageRate: number;
  messageBurst: number;
  /** bytes per second; 0: no limit. Twice as much, and at least `maxPayload`, may come at once. */
  byteRate: number;
  maxPayload: number;
  /** so many invalid messages in ten seconds close the connection; 0: no limit */
  invalidMessageLimit: number;
}

/** Who is over its rate for so long is closed. */
export const sustainedMs = 5_000;
/** A refusal that comes so long after the last one begins a new time. */
const pauseMs = 1_000;
export const invalidWindowMs = 10_000;

/** What of the worker's clock is needed; coarse-clock.ts fits. */
interface Clock {
  readonly now: number;
  refresh(): number;
}

export class InboundLimiter {
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

  /** False: the message is over a limit; its sender has been told, or closed. */
  allow(speaker: RateLimited, bytes: number): boolean {
    return this.#takes(speaker, bytes, this.#clock.now) || this.#takes(speaker, bytes, this.#clock.refresh())
      ? true
      : this.#refuse(speaker, this.#clock.now);
  }

  /** A message was answered with an error because nobody can use it: not JSON, or binary. */
  invalid(speaker: RateLimited): void {
    if (this.#invalidLimit === 0) return;
    const { now } = this.#clock;
    if (speaker.invalidCount === 0 || now - speaker.invalidSince >= invalidWindowMs) {
      speaker.invalidCount = 0;
      speaker.invalidSince = now;
    }
    speaker.invalidCount += 1;
    if (speaker.invalidCount >= this.#invalidLimit) speaker.close('policy_violation');
  }

  #takes(speaker: RateLimited, bytes: number, now: number): boolean {
    const messages = take(speaker.messageBucket, this.#messages, 1, now);
    const byteBucket = take(speaker.byteBucket, this.#bytes, bytes, now);
    // NaN is the only number that differs from itself.
    if (Number.isNaN(messages) || Number.isNaN(byteBucket)) return false;
    speaker.messageBucket = messages;
    speaker.byteBucket = byteBucket;
    return true;
  }

  #refuse(speaker: RateLimited, now: number): false {
    this.#counters.dropped.rate_limited += 1;
    if (now - speaker.limitedAt > pauseMs) speaker.limitedSince = now;
    speaker.limitedAt = now;
    if (now - speaker.limitedSince >= sustainedMs) speaker.close('rate_limited');
    else speaker.error('rate_limited');
    return false;
  }
}
