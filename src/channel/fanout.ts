/**
 * From a channel to its local members: messages are collected for a turn of the event loop, framed once and
 * written once per member; a busy channel with a large audience rests between two writes (rest.ts). A large audience
 * is written to in slices, between which the event loop has its turn, so that nobody else waits for all of it.
 * Nothing is closed or removed while members are written to; slow ones are reported after each slice.
 */
import { now } from '../clock.ts';
import type { Counters } from '../counters.ts';
import { Batch, type Channel, type Member, type Message, type Traced } from './channel.ts';
import { endOfRest, lagMs, maxRestingBytes, restMs, type RestLimits } from './rest.ts';

/** One buffer with all messages, in order: the framing of the members' protocol. */
export type Framing = (messages: readonly Pick<Message<unknown>, 'payload'>[]) => Buffer;

/** Told of a traced message when all of this worker's members have been written to. */
export type OnTraced = (traced: Traced, channel: string, recipients: number, writtenAt: number) => void;

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
  rests: RestLimits;
  /** called once per slice for a member over its limit, when no member is being written to */
  onSlow: (member: M) => void;
  counters: Counters;
}

interface UnderWay<M> {
  readonly batch: Batch<M>;
  readonly targets: M[];
  /** where those begin who have not got it yet */
  next: number;
}

export class Fanout<M extends Member> {
  readonly #options: FanoutOptions<M>;
  readonly #counters: Counters;
  /** the list of the channels that have a batch, or had one that was begun early; linked, so that it allocates nothing */
  #first: Channel<M> | null = null;
  #last: Channel<M> | null = null;
  /** what has been written to some of a large audience and not yet to all, in the order in which it is gone on with */
  readonly #underWay = new Map<Channel<M>, UnderWay<M>>();
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
    const message = { payload, author, readAt, relayed, traced, ahead: 0 };
    if (channel.batch !== null) {
      channel.batch.add(message);
      return;
    }
    channel.batch = new Batch<M>(message);
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
      if (channel.batch === null) continue; // it was begun before its turn
      const waits = this.#waits(channel, channel.batch, now);
      if (waits !== null) {
        wait = Math.min(wait, waits);
        this.#list(channel);
        continue;
      }
      this.#begin(channel);
      channel.wroteAt = now === Infinity ? -Infinity : now;
      channel.restsUntil = NaN;
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
    const at = underWay?.targets.indexOf(member, underWay.next) ?? -1;
    if (underWay && at !== -1) {
      underWay.targets.splice(at, 1);
      this.#write(underWay.batch, member);
    }
    const { batch } = channel;
    if (batch === null) return;
    this.#give(
      batch,
      member,
      batch.messages.some(({ author }) => author === member),
    );
    if (this.skipped > 0) return;
    for (const message of batch.messages) if (message.author !== member) message.ahead += 1;
  }

  /**
   * Milliseconds for which the channel's batch waits; 0: until what is under way has been written, which is gone on
   * with in this flush. Null: it does not wait.
   */
  #waits(channel: Channel<M>, { bytes }: Batch<M>, now: number): number | null {
    if (now === Infinity) return null;
    if (this.#underWay.has(channel)) return bytes < maxWaitingBytes ? 0 : null;
    const { audience, rests } = this.#options;
    if (now - channel.wroteAt >= rests.maxMs || bytes >= maxRestingBytes) return null;
    if (Number.isNaN(channel.restsUntil)) {
      const rest = restMs(audience(channel), rests);
      channel.restsUntil = endOfRest(channel.wroteAt, rest, lagMs(rest));
    }
    return channel.restsUntil > now ? channel.restsUntil - now : null;
  }

  /** Puts it at the end of the list, unless it is in it. */
  #list(channel: Channel<M>): void {
    if (channel.listed) return;
    channel.listed = true;
    if (this.#last === null) this.#first = channel;
    else this.#last.nextListed = channel;
    this.#last = channel;
  }

  #begin(channel: Channel<M>): void {
    const { batch, members } = channel;
    if (batch === null) return;
    // Who sends far more than can be written is held up by it.
    const underWay = this.#underWay.get(channel);
    if (underWay) this.#goOnWith(channel, underWay, Infinity);
    channel.batch = null;
    batch.recipients = members.size;
    batch.minding = mindingOf(batch.messages, members);
    if (members.size > smallAudience) {
      this.#underWay.set(channel, { batch, targets: [...members], next: 0 });
      return;
    }
    for (const member of members) this.#write(batch, member);
    this.#count(channel, batch);
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
  #goOnWith(channel: Channel<M>, underWay: UnderWay<M>, until: number): boolean {
    const { batch, targets } = underWay;
    let written = 0;
    for (;;) {
      const member = targets[underWay.next];
      if (member === undefined) break;
      underWay.next += 1;
      this.#write(batch, member);
      written += 1;
      if (written % membersPerLook === 0 && performance.now() >= until) break;
    }
    if (underWay.next < targets.length) return false;
    this.#underWay.delete(channel);
    this.#count(channel, batch);
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
    const { messages } = batch;
    const { frame } = this.#options;
    this.skipped = 0;
    if (!minds) return member.write((batch.frames ??= frame(messages)), messages.length);
    const others = messages.filter(({ author }) => author !== member);
    return others.length === 0 || member.write(frame(others), others.length);
  }

  /** Once per message, however many got it. */
  #count({ name }: Channel<M>, { messages, minding, recipients: all, skipped }: Batch<M>): void {
    const writtenAt = now();
    const counters = this.#counters;
    for (const { payload, author, readAt, relayed, traced, ahead } of messages) {
      const own = author !== null && minding?.has(author) ? 1 : 0;
      const recipients = all - own - skipped + ahead;
      // Spelled out: a property with a changing name is a slow one.
      if (relayed) counters.delivered.relay += recipients;
      else counters.delivered.local += recipients;
      const latency = relayed ? counters.latency.relay : counters.latency.local;
      latency.observe(writtenAt - readAt);
      counters.sentBytes += payload.length * recipients;
      counters.recipients.observe(recipients);
      if (traced !== null) this.onTraced?.(traced, name, recipients, writtenAt);
    }
  }

  #reportSlow(): void {
    if (this.#slow.length === 0) return;
    const slow = this.#slow;
    this.#slow = [];
    for (const member of slow) this.#options.onSlow(member);
  }
}

/** Those of the messages' authors who are members; null if nobody is. */
function mindingOf<M>(messages: readonly Message<M>[], members: ReadonlySet<M>): Set<M> | null {
  let minding: Set<M> | null = null;
  for (const { author } of messages) {
    if (author !== null && members.has(author)) (minding ??= new Set()).add(author);
  }
  return minding;
}
