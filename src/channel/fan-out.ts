/**
 * Writes the publications of a channel to its local members. Publications are collected for one turn of the event
 * loop, encoded once per protocol and written once per member. A busy channel with a large audience has a batching
 * window between two writes (batching.ts). A large audience is written in slices, with a turn of the event loop
 * between them, so that other clients do not wait for all of it. The fan-out never closes or removes a member during
 * a write: slow members are reported after each slice.
 */
import { now } from '../platform/clock.ts';
import type { Counters } from '../metrics/counters.ts';
import type { OnTraced } from '../tracing/traced.ts';
import { Batch, type Channel, type Member, type WriteResult } from './channel.ts';
import type { Publication } from './publication.ts';
import { windowEnd, memberOffsetMs, batchDelayMs, type BatchingLimits } from './batching.ts';
import {
  congestedBytes,
  maxBatchBytes,
  maxWaitingBytes,
  membersPerClockRead,
  sliceMs,
  smallAudience,
} from './tuning.ts';

export interface FanOutOptions<M> {
  /** number of members of the channel on the whole hub, as far as known */
  audience: (channel: Channel<M>) => number;
  batching: BatchingLimits;
  /** called after a slice, once per member over its limit; no write is in progress then */
  onSlow: (member: M) => void;
  /** called when `channel.congested` has changed */
  onCongested: (channel: Channel<M>) => void;
  /** called once per traced publication, when no write is in progress; null: no tracing */
  onTraced: OnTraced | null;
  counters: Counters;
}

/**
 * A batch that is being written to a large audience. Members that join or leave change the set under the iterator: it
 * skips members that left and reaches new members last.
 */
interface InProgressBatch<M> {
  readonly batch: Batch<M>;
  readonly members: SetIterator<M>;
  /** number of the last recipient; later members joined after the write began */
  readonly last: number;
  /** number of the last member to which the batch was written */
  reached: number;
}

export class FanOut<M extends Member> {
  readonly #options: FanOutOptions<M>;
  readonly #counters: Counters;
  /** list of channels with a batch, or with one that was started early; linked, so that it needs no allocation */
  #first: Channel<M> | null = null;
  #last: Channel<M> | null = null;
  /** batches that are written to a part of their audience, in the order in which they continue */
  readonly #inProgress = new Map<Channel<M>, InProgressBatch<M>>();
  /** members over their limit that must be reported */
  #slow: M[] = [];

  constructor(options: FanOutOptions<M>) {
    this.#options = options;
    this.#counters = options.counters;
  }

  /** Adds a publication to the batch of the channel. */
  push(channel: Channel<M>, publication: Publication<M>): void {
    if (channel.batch !== null) {
      channel.batch.add(publication);
      return;
    }
    channel.batch = new Batch<M>(publication);
    this.#list(channel);
  }

  /**
   * Writes all batches that are due, and continues with the batches in progress.
   * @param now milliseconds of the monotonic clock; `Infinity`: write everything, without windows or slices
   * @returns milliseconds until the next call is due; `Infinity`: nothing waits
   */
  flush(now: number): number {
    let wait = Infinity;
    let next = this.#first;
    this.#first = this.#last = null;
    while (next !== null) {
      const channel = next;
      next = channel.nextListed;
      channel.nextListed = null;
      channel.listed = false;
      if (channel.batch === null) continue;
      const waits = this.#delayOf(channel, channel.batch, now);
      if (waits !== null) {
        wait = Math.min(wait, waits);
        this.#list(channel);
        continue;
      }
      this.#start(channel, channel.batch);
      channel.wroteAt = now === Infinity ? -Infinity : now;
      channel.windowEndsAt = NaN;
    }
    if (this.#inProgress.size > 0) this.#resumeAll(now + sliceMs);
    this.#reportSlow();
    return this.#inProgress.size > 0 ? 0 : wait;
  }

  /** A member has joined: it does not get the waiting publications. */
  joined(channel: Channel<M>, member: M): void {
    const { batch } = channel;
    if (batch === null) return;
    this.#startAt(batch, member, batch.messages.length);
    for (const message of batch.messages) message.deliveredEarly -= 1;
  }

  /** The channel has lost its last member. */
  forget(channel: Channel<M>): void {
    this.#congest(channel, false);
  }

  /** Writes all waiting publications to a member that leaves. */
  flushTo(channel: Channel<M>, member: M): void {
    this.#finishInProgress(channel, member);
    const { batch } = channel;
    if (batch === null) return;
    const start = batch.starts?.get(member) ?? 0;
    this.#writeEarly(channel, batch, member, start);
    // The member is not among the recipients when the batch is written.
    for (const message of batch.messages) if (message.sender !== member) message.deliveredEarly += 1;
    batch.starts?.delete(member);
  }

  /** Writes all waiting publications to a member, so that the next write to it follows them. */
  catchUp(channel: Channel<M>, member: M): void {
    const inProgress = this.#finishInProgress(channel, member);
    if (inProgress) this.#startAt(inProgress.batch, member, inProgress.batch.messages.length);
    const { batch } = channel;
    if (batch !== null) {
      this.#writeEarly(channel, batch, member, batch.starts?.get(member) ?? 0);
      this.#startAt(batch, member, batch.messages.length);
    }
    this.#reportSlow();
  }

  /**
   * Writes the batch in progress to a member that has not received it yet.
   * @returns null: there is none, or the member has received it
   */
  #finishInProgress(channel: Channel<M>, member: M): InProgressBatch<M> | null {
    const inProgress = this.#inProgress.get(channel);
    if (!inProgress || member.number <= inProgress.reached || member.number > inProgress.last) return null;
    if (!channel.members.has(member)) return null;
    this.#write(channel, inProgress.batch, member);
    return inProgress;
  }

  /** Writes the waiting batch to one member. */
  #writeEarly(channel: Channel<M>, batch: Batch<M>, member: M, start: number): void {
    const isSender = batch.messages.some(({ sender }) => sender === member);
    const result = this.#writeTo(channel, batch, member, isSender, start);
    if (result === 'over limit') this.#slow.push(member);
    else if (result === 'skipped') this.#uncount(batch, member, start);
  }

  #startAt(batch: Batch<M>, member: M, start: number): void {
    (batch.starts ??= new Map()).set(member, start);
  }

  /** A recipient skipped the publications from `start` on. */
  #uncount({ messages }: Batch<M>, member: M, start: number): void {
    for (const message of messages.slice(start)) if (message.sender !== member) message.deliveredEarly -= 1;
  }

  /**
   * Returns how long the batch must still wait, in ms.
   * - `0`: until the batch in progress is written, which this flush continues
   * - `null`: write now
   */
  #delayOf(channel: Channel<M>, { bytes }: Batch<M>, now: number): number | null {
    if (now === Infinity) return null;
    if (this.#inProgress.has(channel)) {
      if (bytes >= congestedBytes) this.#congest(channel, true);
      return bytes < maxWaitingBytes ? 0 : null;
    }
    const { audience, batching } = this.#options;
    if (now - channel.wroteAt >= batching.maxMs || bytes >= maxBatchBytes) return null;
    if (Number.isNaN(channel.windowEndsAt)) {
      const delayMs = batchDelayMs(audience(channel), batching);
      channel.windowEndsAt = windowEnd(channel.wroteAt, delayMs, memberOffsetMs(delayMs));
    }
    return channel.windowEndsAt > now ? channel.windowEndsAt - now : null;
  }

  /** Appends the channel to the list, unless it is in it. */
  #list(channel: Channel<M>): void {
    if (channel.listed) return;
    channel.listed = true;
    if (this.#last === null) this.#first = channel;
    else this.#last.nextListed = channel;
    this.#last = channel;
  }

  #start(channel: Channel<M>, batch: Batch<M>): void {
    // A publisher that sends far more than can be written pays for the write of the batch in progress.
    const inProgress = this.#inProgress.get(channel);
    if (inProgress) this.#resume(channel, inProgress, Infinity);
    const { members } = channel;
    channel.batch = null;
    this.#congest(channel, false);
    batch.recipients = members.size;
    batch.excludedSenders = excludedSendersOf(batch.messages, members);
    if (members.size > smallAudience) {
      this.#inProgress.set(channel, {
        batch,
        members: members.values(),
        last: channel.lastNumber,
        reached: 0,
      });
      return;
    }
    for (const member of members) this.#write(channel, batch, member);
    this.#count(channel, batch);
  }

  #congest(channel: Channel<M>, congested: boolean): void {
    if (channel.congested === congested) return;
    channel.congested = congested;
    this.#options.onCongested(channel);
  }

  /** Continues the batches in progress until `until`, at least one of them. */
  #resumeAll(until: number): void {
    for (const [channel, inProgress] of this.#inProgress) {
      if (this.#resume(channel, inProgress, until)) continue;
      this.#inProgress.delete(channel); // the others go first in the next flush
      this.#inProgress.set(channel, inProgress);
      return;
    }
  }

  /** @returns whether the batch has been written to all recipients */
  #resume(channel: Channel<M>, inProgress: InProgressBatch<M>, until: number): boolean {
    const { batch, members, last } = inProgress;
    let written = 0;
    for (;;) {
      const { done, value } = members.next();
      if (done || value.number > last) break;
      inProgress.reached = value.number;
      this.#write(channel, batch, value);
      written += 1;
      if (written % membersPerClockRead === 0 && performance.now() >= until) return false;
    }
    this.#inProgress.delete(channel);
    this.#count(channel, batch);
    return true;
  }

  #write(channel: Channel<M>, batch: Batch<M>, member: M): void {
    const { excludedSenders, starts } = batch;
    const start = starts === null ? 0 : (starts.get(member) ?? 0);
    const isSender = excludedSenders !== null && excludedSenders.has(member);
    const result = this.#writeTo(channel, batch, member, isSender, start);
    if (result === 'sent') return;
    if (result === 'over limit') {
      this.#slow.push(member);
    } else if (start > 0) {
      this.#uncount(batch, member, start);
    } else {
      batch.skipped += 1;
      excludedSenders?.delete(member); // it must not be subtracted twice
    }
  }

  /**
   * @param isSender the member sent some of the publications and does not receive its own
   * @param start index of the first publication for the member
   */
  #writeTo({ name }: Channel<M>, batch: Batch<M>, member: M, isSender: boolean, start: number): WriteResult {
    const { messages } = batch;
    if (isSender) {
      const others = messages.slice(start).filter(({ sender }) => sender !== member);
      return others.length === 0
        ? 'sent'
        : member.write(member.encoder.publications(name, others), others.length);
    }
    if (start === messages.length) return 'sent';
    return member.write(batch.encoded(name, member.encoder, start), messages.length - start);
  }

  /** Counts each publication once, with its number of recipients. */
  #count({ name }: Channel<M>, { messages, excludedSenders, recipients: all, skipped }: Batch<M>): void {
    const writtenAt = now();
    const counters = this.#counters;
    for (const { payload, sender, readAt, source, traced, deliveredEarly } of messages) {
      const own = sender !== null && excludedSenders?.has(sender) ? 1 : 0;
      const recipients = all - own - skipped + deliveredEarly;
      const relayed = source === 'relay';
      // Written out, because a property access with a variable name is slow.
      if (relayed) counters.delivered.relay += recipients;
      else counters.delivered.local += recipients;
      const latency = relayed ? counters.latency.relay : counters.latency.local;
      latency.observe(writtenAt - readAt);
      counters.sentBytes += payload.length * recipients;
      counters.recipients.observe(recipients);
      if (traced !== null) this.#options.onTraced?.(traced, name, recipients, writtenAt);
    }
  }

  #reportSlow(): void {
    if (this.#slow.length === 0) return;
    const slow = this.#slow;
    this.#slow = [];
    for (const member of slow) this.#options.onSlow(member);
  }
}

/** Returns the members that do not receive their own publications; null: none. */
function excludedSendersOf<M>(messages: readonly Publication<M>[], members: ReadonlySet<M>): Set<M> | null {
  let excluded: Set<M> | null = null;
  for (const { sender } of messages) {
    if (sender !== null && members.has(sender)) (excluded ??= new Set()).add(sender);
  }
  return excluded;
}
