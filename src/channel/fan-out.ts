/**
 * From a channel to its local members: publications are collected for a turn of the event loop, encoded once per
 * protocol and written once per member; a busy channel with a large audience rests between two writes (batching.ts). A
 * large audience is written to in slices, between which the event loop has its turn, so that other clients do not wait
 * for all of it. Nothing is closed or removed while members are written to; slow ones are reported after each slice.
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
  /** members of the channel on the whole hub, as far as it is known here */
  audience: (channel: Channel<M>) => number;
  batching: BatchingLimits;
  /** called once per slice for a member over its limit, when no member is being written to */
  onSlow: (member: M) => void;
  /** `channel.congested` has changed */
  onCongested: (channel: Channel<M>) => void;
  /** called once per traced publication, when no member is being written to */
  onTraced: OnTraced | null;
  counters: Counters;
}

/**
 * A batch that is being written to a large audience. Who joins or leaves meanwhile changes `members` under the iterator,
 * which passes over the ones and comes to the others at its end.
 */
interface InProgressBatch<M> {
  readonly batch: Batch<M>;
  readonly members: SetIterator<M>;
  /** number of the last member that is to get it: the others joined later */
  readonly last: number;
  /** number of the last member that was written to */
  reached: number;
}

export class FanOut<M extends Member> {
  readonly #options: FanOutOptions<M>;
  readonly #counters: Counters;
  /** the list of the channels that have a batch, or had one that was begun early; linked, so that it allocates nothing */
  #first: Channel<M> | null = null;
  #last: Channel<M> | null = null;
  /** what has been written to some of a large audience and not yet to all, in the order in which it is gone on with */
  readonly #inProgress = new Map<Channel<M>, InProgressBatch<M>>();
  /** members over their limit that are not yet reported */
  #slow: M[] = [];

  constructor(options: FanOutOptions<M>) {
    this.#options = options;
    this.#counters = options.counters;
  }

  /** Adds a publication to the channel's batch. */
  push(channel: Channel<M>, publication: Publication<M>): void {
    if (channel.batch !== null) {
      channel.batch.add(publication);
      return;
    }
    channel.batch = new Batch<M>(publication);
    this.#list(channel);
  }

  /**
   * Writes out the batches of all channels that do not rest, and goes on with those that are under way.
   * @param now milliseconds of the monotonic clock; Infinity ends all rests and leaves nothing under way
   * @returns milliseconds until it is to be called again; Infinity if nothing is left
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

  /** A member has joined: what was said before is not for it. */
  joined(channel: Channel<M>, member: M): void {
    const { batch } = channel;
    if (batch === null) return;
    this.#startAt(batch, member, batch.messages.length);
    for (const message of batch.messages) message.deliveredEarly -= 1;
  }

  /** The channel has no members any more. */
  forget(channel: Channel<M>): void {
    this.#congest(channel, false);
  }

  /** Writes to a member that leaves all that it would have got later. */
  flushTo(channel: Channel<M>, member: M): void {
    this.#settleUnderWay(channel, member);
    const { batch } = channel;
    if (batch === null) return;
    const start = batch.starts?.get(member) ?? 0;
    this.#giveEarly(channel, batch, member, start);
    // It is none of the recipients when the others get it.
    for (const message of batch.messages) if (message.sender !== member) message.deliveredEarly += 1;
    batch.starts?.delete(member);
  }

  /** Writes to a member all that it would get later, so that what is written to it next comes behind. */
  catchUp(channel: Channel<M>, member: M): void {
    const underWay = this.#settleUnderWay(channel, member);
    if (underWay) this.#startAt(underWay.batch, member, underWay.batch.messages.length);
    const { batch } = channel;
    if (batch !== null) {
      this.#giveEarly(channel, batch, member, batch.starts?.get(member) ?? 0);
      this.#startAt(batch, member, batch.messages.length);
    }
    this.#reportSlow();
  }

  /** @returns what was under way to it; null: nothing, or it had it */
  #settleUnderWay(channel: Channel<M>, member: M): InProgressBatch<M> | null {
    const underWay = this.#inProgress.get(channel);
    if (!underWay || member.number <= underWay.reached || member.number > underWay.last) return null;
    if (!channel.members.has(member)) return null;
    this.#write(channel, underWay.batch, member);
    return underWay;
  }

  /** Writes to one member what has collected. */
  #giveEarly(channel: Channel<M>, batch: Batch<M>, member: M, start: number): void {
    const isSender = batch.messages.some(({ sender }) => sender === member);
    const result = this.#writeTo(channel, batch, member, isSender, start);
    if (result === 'over limit') this.#slow.push(member);
    else if (result === 'skipped') this.#uncount(batch, member, start);
  }

  #startAt(batch: Batch<M>, member: M, start: number): void {
    (batch.starts ??= new Map()).set(member, start);
  }

  /** A recipient did not take the messages from there on. */
  #uncount({ messages }: Batch<M>, member: M, start: number): void {
    for (const message of messages.slice(start)) if (message.sender !== member) message.deliveredEarly -= 1;
  }

  /**
   * Milliseconds for which the channel's batch waits; 0: until what is under way has been written, which is gone on
   * with in this flush. Null: it does not wait.
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
      const rest = batchDelayMs(audience(channel), batching);
      channel.windowEndsAt = windowEnd(channel.wroteAt, rest, memberOffsetMs(rest));
    }
    return channel.windowEndsAt > now ? channel.windowEndsAt - now : null;
  }

  /** Puts it at the end of the list, unless it is in it. */
  #list(channel: Channel<M>): void {
    if (channel.listed) return;
    channel.listed = true;
    if (this.#last === null) this.#first = channel;
    else this.#last.nextListed = channel;
    this.#last = channel;
  }

  #start(channel: Channel<M>, batch: Batch<M>): void {
    // Who sends far more than can be written is held up by it.
    const underWay = this.#inProgress.get(channel);
    if (underWay) this.#resume(channel, underWay, Infinity);
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

  /** Goes on with the channels under way until that moment, with one of them at least. */
  #resumeAll(until: number): void {
    for (const [channel, underWay] of this.#inProgress) {
      if (this.#resume(channel, underWay, until)) continue;
      this.#inProgress.delete(channel); // the others go first the next time
      this.#inProgress.set(channel, underWay);
      return;
    }
  }

  /** @returns whether all have been written to */
  #resume(channel: Channel<M>, underWay: InProgressBatch<M>, until: number): boolean {
    const { batch, members, last } = underWay;
    let written = 0;
    for (;;) {
      const { done, value } = members.next();
      if (done || value.number > last) break;
      underWay.reached = value.number;
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
      excludedSenders?.delete(member); // it is not to be taken off twice
    }
  }

  /**
   * @param isSender it sent some of the publications itself and does not want them back
   * @param start the first publication that it gets
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

  /** Once per message, however many got it. */
  #count({ name }: Channel<M>, { messages, excludedSenders, recipients: all, skipped }: Batch<M>): void {
    const writtenAt = now();
    const counters = this.#counters;
    for (const { payload, sender, readAt, source, traced, deliveredEarly } of messages) {
      const own = sender !== null && excludedSenders?.has(sender) ? 1 : 0;
      const recipients = all - own - skipped + deliveredEarly;
      const relayed = source === 'relay';
      // Spelled out: a property with a changing name is a slow one.
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

/** The senders among the members that do not want their publications back; null: none. */
function excludedSendersOf<M>(messages: readonly Publication<M>[], members: ReadonlySet<M>): Set<M> | null {
  let excluded: Set<M> | null = null;
  for (const { sender } of messages) {
    if (sender !== null && members.has(sender)) (excluded ??= new Set()).add(sender);
  }
  return excluded;
}
