/**
 * From a channel to its local members: messages are collected for a turn of the event loop, framed once and
 * written once per member; a busy channel with a large audience rests between two writes (rest.ts). A large audience
 * is written to in slices, between which the event loop has its turn, so that nobody else waits for all of it.
 * Nothing is closed or removed while members are written to; slow ones are reported after each slice.
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

/** An audience up to this is written to at once. */
const smallAudience = 64;
/** After so many milliseconds of one flush the large ones wait for the next turn of the event loop. */
const sliceMs = 3;
/** What has collected so many bytes does not wait until what is under way has been written. */
const maxWaitingBytes = 256 * 1024;
/** The clock is read once for so many members. */
const membersPerLook = 8;

export interface FanoutOptions<M> {
  frame: Framing;
  /** members of the channel on the whole hub, as far as it is known here */
  audience: (channel: Channel<M>) => number;
  /** the longest rest of a channel, in milliseconds; 0: channels never rest */
  maxRestMs: number;
  /** called once per slice for a member over its limit, when no member is being written to */
  onSlow: (member: M) => void;
  counters: Counters;
}

interface UnderWay<M> {
  readonly batch: Batch<M>;
  /** who has not got it yet */
  readonly targets: Set<M>;
}

export class Fanout<M extends Member> {
  readonly #options: FanoutOptions<M>;
  readonly #counters: Counters;
  /** channels with a batch, in the order in which they got it */
  readonly #dirty = new Set<Channel<M>>();
  /** what has been written to some of a large audience and not yet to all, in the order in which it is gone on with */
  readonly #underWay = new Map<Channel<M>, UnderWay<M>>();
  readonly #spare: Batch<M>[] = [];
  /** members over their limit that are not yet reported */
  #slow: M[] = [];
  /** called once per traced message, when no member is being written to */
  onTraced: OnTraced | null = null;
  /** members that did not take what is being written; who owns them counts them here */
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
      this.#dirty.add(channel);
    }
    if (author !== null) batch.authors[batch.payloads.length] = author;
    if (traced !== null) batch.traced[batch.payloads.length] = traced;
    batch.payloads.push(payload);
    batch.frames = null;
    batch.bytes += payload.length;
    batch.readAt.push(readAt);
    batch.relayed.push(relayed);
  }

  /**
   * Writes out the batches of all channels that do not rest, and goes on with those that are under way.
   * @param now milliseconds of the monotonic clock; Infinity ends all rests and leaves nothing under way
   * @returns milliseconds until it is to be called again; Infinity if nothing is left
   */
  flush(now: number): number {
    let wait = Infinity;
    for (const channel of this.#dirty) {
      const waits = this.#waits(channel, now);
      if (waits !== null) {
        wait = Math.min(wait, waits);
        continue;
      }
      this.#begin(channel);
      const rest = restMs(this.#options.audience(channel), this.#options.maxRestMs);
      channel.restsUntil = endOfRest(now, rest);
    }
    if (this.#underWay.size > 0) this.#goOn(now + sliceMs);
    this.#reportSlow();
    return this.#underWay.size > 0 ? 0 : wait;
  }

  /** Begins the channel's batch before its turn, so that who joins now does not get it. */
  settle(channel: Channel<M>): void {
    this.#begin(channel);
    this.#reportSlow();
  }

  /** Writes to a member that leaves all that it would have got later. */
  settleWith(channel: Channel<M>, member: M): void {
    const underWay = this.#underWay.get(channel);
    if (underWay?.targets.delete(member)) this.#write(underWay.batch, member);
    const { batch } = channel;
    if (batch === null) return;
    this.#give(batch, member, batch.authors.includes(member));
    if (this.skipped > 0) return;
    for (const index of batch.payloads.keys()) {
      const got = batch.authors[index] === member ? 0 : 1;
      batch.ahead[index] = (batch.ahead[index] ?? 0) + got;
    }
  }

  /**
   * Milliseconds for which the channel's batch waits; 0: until what is under way has been written, which is gone on
   * with in this flush. Null: it does not wait.
   */
  #waits(channel: Channel<M>, now: number): number | null {
    const { batch, restsUntil } = channel;
    if (batch === null || now === Infinity) return null;
    if (this.#underWay.has(channel)) return batch.bytes < maxWaitingBytes ? 0 : null;
    return restsUntil > now && batch.bytes < maxRestingBytes ? restsUntil - now : null;
  }

  #begin(channel: Channel<M>): void {
    this.#dirty.delete(channel);
    const { batch, members } = channel;
    if (batch === null) return;
    // Who sends far more than can be written is held up by it.
    const underWay = this.#underWay.get(channel);
    if (underWay) this.#goOnWith(channel, underWay, Infinity);
    channel.batch = null;
    batch.recipients = members.size;
    if (batch.authors.length > 0) batch.minding = new Set(batch.authors.filter(isOneOf(members)));
    if (members.size > smallAudience) {
      this.#underWay.set(channel, { batch, targets: new Set(members) });
      return;
    }
    for (const member of members) this.#write(batch, member);
    this.#end(channel, batch);
  }

  /** Goes on with the channels under way until that moment, with one of them at least. */
  #goOn(until: number): void {
    for (const [channel, underWay] of this.#underWay) {
      if (this.#goOnWith(channel, underWay, until)) continue;
      this.#underWay.delete(channel); // the others go first the next time
      this.#underWay.set(channel, underWay);
      return;
    }
  }

  /** @returns whether all have been written to */
  #goOnWith(channel: Channel<M>, { batch, targets }: UnderWay<M>, until: number): boolean {
    let written = 0;
    for (const member of targets) {
      targets.delete(member);
      this.#write(batch, member);
      written += 1;
      if (written % membersPerLook === 0 && performance.now() >= until) break;
    }
    if (targets.size > 0) return false;
    this.#underWay.delete(channel);
    this.#end(channel, batch);
    return true;
  }

  #write(batch: Batch<M>, member: M): void {
    const { minding } = batch;
    if (!this.#give(batch, member, minding?.has(member) === true)) this.#slow.push(member);
    if (this.skipped === 0) return;
    batch.skipped += this.skipped;
    minding?.delete(member); // it is not to be taken off twice
  }

  /**
   * Sets `skipped`.
   * @param minds it wrote some of the messages itself and does not want them back
   * @returns see Member
   */
  #give(batch: Batch<M>, member: M, minds: boolean): boolean {
    const { payloads, authors } = batch;
    const { frame } = this.#options;
    this.skipped = 0;
    if (!minds) return member.write((batch.frames ??= frame(payloads)), payloads.length);
    const others = payloads.filter((_, index) => authors[index] !== member);
    return others.length === 0 || member.write(frame(others), others.length);
  }

  #end(channel: Channel<M>, batch: Batch<M>): void {
    this.#count(channel, batch);
    this.#recycle(batch);
  }

  /** Once per message, however many got it. */
  #count({ name }: Channel<M>, batch: Batch<M>): void {
    const writtenAt = now();
    const counters = this.#counters;
    for (let i = 0; i < batch.payloads.length; i++) {
      const author = batch.authors[i];
      const own = author !== undefined && batch.minding?.has(author) ? 1 : 0;
      const recipients = batch.recipients - own - batch.skipped + (batch.ahead[i] ?? 0);
      const route = batch.relayed[i] ? 'relay' : 'local';
      counters.delivered[route] += recipients;
      counters.latency[route].observe(writtenAt - (batch.readAt[i] ?? writtenAt));
      counters.sentBytes += (batch.payloads[i]?.length ?? 0) * recipients;
      counters.recipients.observe(recipients);
      const traced = batch.traced[i];
      if (traced !== undefined) this.onTraced?.(traced, name, recipients, writtenAt);
    }
  }

  #recycle(batch: Batch<M>): void {
    batch.clear();
    if (this.#spare.length < maxSpareBatches) this.#spare.push(batch);
  }

  #reportSlow(): void {
    if (this.#slow.length === 0) return;
    const slow = this.#slow;
    this.#slow = [];
    for (const member of slow) this.#options.onSlow(member);
  }
}

function isOneOf<M>(members: ReadonlySet<M>): (author: M | undefined) => author is M {
  return (author): author is M => author !== undefined && members.has(author);
}
