/**
 * From a channel to its local members: messages are collected for a turn of the event loop, framed once and
 * written once per member; a busy channel with a large audience rests between two writes (rest.ts). Nothing is
 * closed or removed while members are written to; slow ones are reported afterwards.
 */
import { now } from '../clock.ts';
import type { Counters } from '../counters.ts';
import { Batch, type Channel, type Member, type Traced } from './channel.ts';
import { endOfRest, maxRestingBytes, restMs } from './rest.ts';

/** One buffer with a message for each payload, in order: the framing of the members' protocol. */
export type Framing = (payloads: readonly Buffer[]) => Buffer;

/** Told of a traced message when all of this worker's members have been written to. */
export type OnTraced = (traced: Traced, channel: string, recipients: number, writtenAt: number) => void;

/** Emptied batches that are kept for the next turn. */
const maxSpareBatches = 256;

export interface FanoutOptions<M> {
  frame: Framing;
  /** members of the channel on the whole hub, as far as it is known here */
  audience: (channel: Channel<M>) => number;
  /** the longest rest of a channel, in milliseconds; 0: channels never rest */
  maxRestMs: number;
  /** called once per flush for a member over its limit, when no member is being written to */
  onSlow: (member: M) => void;
  counters: Counters;
}

export class Fanout<M extends Member> {
  readonly #options: FanoutOptions<M>;
  readonly #counters: Counters;
  /** channels with a batch, in the order in which they got it */
  #dirty: Channel<M>[] = [];
  readonly #spare: Batch<M>[] = [];
  /** called once per traced message, when no member is being written to */
  onTraced: OnTraced | null = null;
  /** members that did not take the batch that is being written; who owns them counts them here */
  skipped = 0;

  constructor(options: FanoutOptions<M>) {
    this.#options = options;
    this.#counters = options.counters;
  }

  /**
   * Adds a message to the channel's batch.
   * @param author the member that is not to get it, or null
   * @param readAt when the hub read it, in seconds of clock.ts
   * @param relayed it came from a sibling
   */
  push(
    channel: Channel<M>,
    payload: Buffer,
    author: M | null,
    readAt: number = now(),
    relayed = false,
    traced: Traced | null = null,
  ): void {
    let batch = channel.batch;
    if (batch === null) {
      batch = channel.batch = this.#spare.pop() ?? new Batch<M>();
      this.#dirty.push(channel);
    }
    if (author !== null) batch.authors[batch.payloads.length] = author;
    if (traced !== null) batch.traced[batch.payloads.length] = traced;
    batch.payloads.push(payload);
    batch.bytes += payload.length;
    batch.readAt.push(readAt);
    batch.relayed.push(relayed);
  }

  /**
   * Writes out the batches of all channels that do not rest.
   * @param now milliseconds of the monotonic clock; Infinity ends all rests
   * @returns milliseconds until a channel that holds a batch has rested; Infinity if none does
   */
  flush(now: number): number {
    if (this.#dirty.length === 0) return Infinity;
    const dirty = this.#dirty;
    this.#dirty = [];
    let slow: M[] | null = null;
    let wait = Infinity;
    for (const channel of dirty) {
      const rest = channel.restsUntil - now;
      if (rest > 0 && channel.batch !== null && channel.batch.bytes < maxRestingBytes) {
        this.#dirty.push(channel);
        wait = Math.min(wait, rest);
      } else {
        slow = this.#write(channel, slow);
        channel.restsUntil = endOfRest(now, restMs(this.#options.audience(channel), this.#options.maxRestMs));
      }
    }
    if (slow !== null) for (const member of slow) this.#options.onSlow(member);
    return wait;
  }

  /** Writes out one channel's batch before its turn, so that what was accepted is sent before what comes now. */
  flushChannel(channel: Channel<M>): void {
    const slow = this.#write(channel, null);
    if (slow !== null) for (const member of slow) this.#options.onSlow(member);
  }

  #write(channel: Channel<M>, slow: M[] | null): M[] | null {
    const batch = channel.batch;
    if (batch === null) return slow;
    channel.batch = null;
    if (channel.members.size > 0) {
      const frames = this.#options.frame(batch.payloads);
      const count = batch.payloads.length;
      this.skipped = 0;
      const authors = batch.authors.length > 0 ? new Set(batch.authors) : null;
      for (const member of channel.members) {
        if (!(authors?.has(member) ? this.#writeOthers(batch, member) : member.write(frames, count))) {
          (slow ??= []).push(member);
        }
      }
      this.#count(channel, batch);
    }
    batch.payloads.length = 0;
    batch.bytes = 0;
    batch.readAt.length = 0;
    batch.relayed.length = 0;
    batch.traced.length = 0;
    batch.authors.length = 0;
    if (this.#spare.length < maxSpareBatches) this.#spare.push(batch);
    return slow;
  }

  /** Writes the batch's messages without those that the member wrote itself. */
  #writeOthers(batch: Batch<M>, author: M): boolean {
    const others = batch.payloads.filter((_, index) => batch.authors[index] !== author);
    return others.length === 0 || author.write(this.#options.frame(others), others.length);
  }

  /** Once per message, however many got it. */
  #count({ name, members }: Channel<M>, batch: Batch<M>): void {
    const writtenAt = now();
    const counters = this.#counters;
    for (let i = 0; i < batch.payloads.length; i++) {
      const author = batch.authors[i];
      const own = author !== undefined && members.has(author) ? 1 : 0;
      const recipients = Math.max(0, members.size - own - this.skipped);
      const route = batch.relayed[i] ? 'relay' : 'local';
      counters.delivered[route] += recipients;
      counters.latency[route].observe(writtenAt - (batch.readAt[i] ?? writtenAt));
      counters.sentBytes += (batch.payloads[i]?.length ?? 0) * recipients;
      counters.recipients.observe(recipients);
      const traced = batch.traced[i];
      if (traced !== undefined) this.onTraced?.(traced, name, recipients, writtenAt);
    }
  }
}
