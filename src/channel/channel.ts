/**
 * A channel in this worker: its name, its local members, and what waits to be written to them. State only:
 * registry.ts opens and closes channels, fanout.ts writes to members.
 */

/** What a channel needs of a connection. */
export interface Member {
  /** the channels it is on; only the registry changes it */
  readonly channels: Channel<this>[];
  /** Queues bytes, of so many messages, for the peer. False: it is slow; the bytes were queued all the same. */
  write(bytes: Buffer, messages: number): boolean;
}

/** A message of which a trace is kept: one in a thousand, or none. */
export interface Traced {
  /** see relay/trace-block.ts */
  readonly traceContext: Buffer;
  /** when this worker had it, in seconds of clock.ts */
  readonly startedAt: number;
  /** seconds that it took from the sibling to here; null where it was published here */
  readonly relaySeconds: number | null;
}

/** A message on its way to the members of a channel. */
export interface Message<M> {
  readonly payload: Buffer;
  /** who wrote it and does not want it back; null: nobody */
  readonly sender: M | null;
  /** when the hub read it, in seconds of clock.ts */
  readonly readAt: number;
  /** it came from a sibling */
  readonly relayed: boolean;
  /** null: it is not traced */
  readonly traced: Traced | null;
  /**
   * How many got it besides the batch's recipients, because they have left; less those of the recipients who did not,
   * because they joined after it.
   */
  deliveredEarly: number;
}

/** Messages of one channel, in order: they are collected, then framed, then written to one member after the other. */
export class Batch<M> {
  readonly messages: Message<M>[];
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

  constructor(first: Message<M>) {
    this.messages = [first];
    this.bytes = first.payload.length;
  }

  add(message: Message<M>): void {
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
