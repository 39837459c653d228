/**
 * The clients that read more slowly than the hub writes. A client above the soft limit is watched. A client above the
 * hard limit, or above the soft limit for too long, is closed, or skipped until it has caught up, as the policy says.
 * The state consists of numbers in the client; the time is an argument.
 */
import type { Settings } from '../config/settings.ts';
import type { CloseReason } from '../platform/close-reasons.ts';

export type OutboxLimits = Pick<
  Settings,
  'outboxSoftBytes' | 'outboxMaxBytes' | 'outboxSoftMs' | 'slowPolicy'
>;

/** The state of one client; client.ts implements it. */
export interface SlowConsumer {
  readonly bufferedBytes: number;
  /** since when it is above the soft limit, in milliseconds of the monotonic clock; 0: it is below */
  slowSince: number;
  /** number of skipped messages since it became slow; -1: none is skipped */
  skipped: number;
  /** it is on a channel with history: it is closed instead of skipped, and resumes from its position */
  readonly mustGetAll: boolean;
  /** bytes of the history that it has requested and that may wait above the hard limit; 0: it has caught up */
  replayBytes: number;
  /** The client has caught up and is written to again. */
  caughtUp(): void;
  close(reason: CloseReason): void;
}

/** A close takes about 100 µs, and one message may make thousands of clients slow at once. */
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

  /** Reports a client above the soft limit after a write. Must not be called during a fan-out. */
  report(client: C, now: number): void {
    if (client.slowSince === 0) {
      client.slowSince = now;
      this.#slow.add(client);
    }
    this.#judge(client, now);
  }

  /**
   * Checks all slow clients. Called regularly. Closes a limited number of them; the others wait for the next call.
   */
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

  /** Removes a client that has caught up or is closing. */
  forget(client: C): void {
    if (client.slowSince === 0) return;
    client.slowSince = client.replayBytes = 0;
    this.#slow.delete(client);
  }

  #judge(client: C, now: number): void {
    const { outboxMaxBytes, outboxSoftMs, slowPolicy } = this.#limits;
    const maxBytes = outboxMaxBytes + client.replayBytes;
    if (client.bufferedBytes <= maxBytes && now - client.slowSince < outboxSoftMs) return;
    if (slowPolicy === 'skip' && !client.mustGetAll) {
      if (client.skipped === -1) client.skipped = 0;
      return;
    }
    this.forget(client);
    client.close('slow_consumer');
  }
}
