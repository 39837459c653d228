/**
 * The clients that read more slowly than they are written to, and what becomes of them: who is over the soft limit is
 * watched; who is over the hard one, or has been over the soft one for too long, is closed, or left out until it has
 * caught up. It works on numbers of the connection; the time is given.
 */
import type { Settings } from '../config/settings.ts';
import type { CloseReason } from '../platform/close-reasons.ts';

export type OutboxLimits = Pick<
  Settings,
  'outboxSoftBytes' | 'outboxMaxBytes' | 'outboxSoftMs' | 'slowPolicy'
>;

/** What is needed of a client; connection.ts fits. */
export interface SlowConsumer {
  readonly bufferedBytes: number;
  /** since when it is over the soft limit, in milliseconds of the monotonic clock; 0: it is not */
  slowSince: number;
  /** messages that were left out since it fell behind; -1: none is left out */
  skipped: number;
  /** it is on a channel with history: it resumes from its position instead of missing messages silently */
  readonly mustGetAll: boolean;
  /** It has caught up: from now on it is written to again. */
  caughtUp(): void;
  close(reason: CloseReason): void;
}

/** A close takes about 100 µs, and one message may make thousands slow at the same moment. */
const maxClosedPerSweep = 100;

export class SlowConsumers<C extends SlowConsumer> {
  readonly #limits: OutboxLimits;
  readonly #slow = new Set<C>();

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#slow.size;
  }

  /** A client was written to and is over the soft limit. Not to be called while others are being written to. */
  report(client: C, now: number): void {
    if (client.slowSince === 0) {
      client.slowSince = now;
      this.#slow.add(client);
    }
    this.#judge(client, now);
  }

  /** Looks at all that are slow: to be called now and then. Closes so many at most; the others wait for the next call. */
  sweep(now: number): void {
    const mayStay = this.#slow.size - maxClosedPerSweep;
    for (const client of this.#slow) {
      if (this.#slow.size <= mayStay) return;
      if (client.bufferedBytes <= this.#limits.outboxSoftBytes) {
        this.forget(client);
        if (client.skipped >= 0) client.caughtUp();
      } else {
        this.#judge(client, now);
      }
    }
  }

  /** It has caught up, or is about to go. */
  forget(client: C): void {
    if (client.slowSince === 0) return;
    client.slowSince = 0;
    this.#slow.delete(client);
  }

  #judge(client: C, now: number): void {
    const { outboxMaxBytes, outboxSoftMs, slowPolicy } = this.#limits;
    if (client.bufferedBytes <= outboxMaxBytes && now - client.slowSince < outboxSoftMs) return;
    if (slowPolicy === 'skip' && !client.mustGetAll) {
      if (client.skipped === -1) client.skipped = 0;
      return;
    }
    this.forget(client);
    client.close('slow_consumer');
  }
}
