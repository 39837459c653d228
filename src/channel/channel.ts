/**
 * A channel in this worker: its name, its local members, and what waits to be written to them. State only:
 * registry.ts opens and closes channels, fanout.ts writes to members.
 */

import type { Publication } from './publication.ts';

/** What a channel needs of a connection. */
export interface Member {
  /** the channels it is on; only the registry changes it */
  readonly channels: Channel<this>[];
  /** Queues bytes, of so many messages, for the peer. False: it is slow; the bytes were queued all the same. */
  write(bytes: Buffer, messages: number): boolean;
}

/** Messages of one channel, in order: they are collected, then framed, then written to one member after the other. */
export class Batch<M> {
  readonly messages: Publication<M>[];
  /** bytes of all payloads */
  bytes: number;
  /** those of the authors who are members; null where nobody minds */
  excludedSenders: Set<M> | null = null;
  /** members of the channel when its turn came */
  recipients = 0;
  /** of those, who did not take it */
  skipped = 0;
  /** Members that are not to get the first messages of it, with how many: they joined later, or have them. Null: none. */
  starts: Map<M, number> | null = null;
  /** all payloads as they are written to whoever is no author; null: not framed, or not all */
  frames: Buffer | null = null;
  /** the payloads from one message on, as they were last written to a member that starts there; null as above */
  tail: { readonly start: number; readonly frames: Buffer } | null = null;

  constructor(first: Publication<M>) {
    this.messages = [first];
    this.bytes = first.payload.length;
  }

  add(message: Publication<M>): void {
    this.messages.push(message);
    this.bytes += message.payload.length;
    this.frames = this.tail = null;
  }
}

export class Channel<M> {
  readonly name: string;
  /** this worker's number for the channel, never used again for another: siblings address publications by it */
  readonly id: number;
  /** in the order in which they joined, with their numbers in it; only the registry changes it */
  readonly members = new Map<M, number>();
  /** the number of who joined last */
  lastNumber = 0;
  /** joins that have begun and are not yet members; the channel is kept for them */
  reservations = 0;
  /** messages that wait for the fan-out; null if none does. Only the fan-out changes it. */
  batch: Batch<M> | null = null;
  /** its messages come faster than they can be written; see fanout.ts, which alone changes it */
  congested = false;
  /** it is in the fan-out's list, and who follows there; the fan-out's as well */
  listed = false;
  nextListed: Channel<M> | null = null;
  /** when the fan-out last wrote and began its rest, in milliseconds of the monotonic clock */
  wroteAt = -Infinity;
  /** when that rest ends; NaN until somebody asks. Most channels are never asked, for it needs the whole audience. */
  windowEndsAt = NaN;

  constructor(name: string, id: number) {
    this.name = name;
    this.id = id;
  }
}
