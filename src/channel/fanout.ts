/**
 * From a channel to its local members: messages are collected for one turn of the event loop, framed once and
 * written once per member. Nothing is closed or removed while members are written to; slow ones are reported
 * afterwards.
 */
import type { Counters } from '../counters.ts';
import { Batch, type Channel, type Member } from './channel.ts';

/** One buffer with a message for each payload, in order: the framing of the members' protocol. */
export type Framing = (payloads: readonly Buffer[]) => Buffer;

/** Emptied batches that are kept for the next turn. */
const maxSpareBatches = 256;

export class Fanout<M extends Member> {
  readonly #frame: Framing;
  readonly #onSlow: (member: M) => void;
  readonly #counters: Counters;
  /** channels with a batch, in the order in which they got it */
  #dirty: Channel<M>[] = [];
  readonly #spare: Batch<M>[] = [];

  /** @param onSlow called once per flush for a member over its limit, when no member is being written to */
  constructor(frame: Framing, onSlow: (member: M) => void, counters: Counters) {
    this.#frame = frame;
    this.#onSlow = onSlow;
    this.#counters = counters;
  }

  /**
   * Adds a message to the channel's batch.
   * @param author the member that is not to get it, or null
   */
  push(channel: Channel<M>, payload: Buffer, author: M | null): void {
    let batch = channel.batch;
    if (batch === null) {
      batch = channel.batch = this.#spare.pop() ?? new Batch<M>();
      this.#dirty.push(channel);
    }
    if (author !== null) batch.authors[batch.payloads.length] = author;
    batch.payloads.push(payload);
  }

  /** Writes out all batches. */
  flush(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    let slow: M[] | null = null;
    for (const channel of dirty) slow = this.#write(channel, slow);
    if (slow !== null) for (const member of slow) this.#onSlow(member);
  }

  /** Writes out one channel's batch before its turn, so that what was accepted is sent before what comes now. */
  flushChannel(channel: Channel<M>): void {
    const slow = this.#write(channel, null);
    if (slow !== null) for (const member of slow) this.#onSlow(member);
  }

  #write(channel: Channel<M>, slow: M[] | null): M[] | null {
    const batch = channel.batch;
    if (batch === null) return slow;
    channel.batch = null;
    if (channel.members.size > 0) {
      const frames = this.#frame(batch.payloads);
      const authors = batch.authors.length > 0 ? new Set(batch.authors) : null;
      for (const member of channel.members) {
        const wanted = authors?.has(member) ? this.#withoutOwn(batch, member) : frames;
        if (wanted.length > 0 && !member.write(wanted)) (slow ??= []).push(member);
      }
      this.#counters.delivered += batch.payloads.length * channel.members.size;
    }
    batch.payloads.length = 0;
    batch.authors.length = 0;
    if (this.#spare.length < maxSpareBatches) this.#spare.push(batch);
    return slow;
  }

  /** The batch's frames without those that the member wrote itself. */
  #withoutOwn(batch: Batch<M>, author: M): Buffer {
    const others = batch.payloads.filter((_, index) => batch.authors[index] !== author);
    this.#counters.delivered -= batch.payloads.length - others.length;
    return this.#frame(others);
  }
}
