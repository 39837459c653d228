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
  readonly block: Buffer;
  /** when this worker had it, in seconds of clock.ts */
  readonly startedAt: number;
  /** seconds that it took from the sibling to here; null where it was published here */
  readonly relaySeconds: number | null;
}

/** Messages of one channel, in order: they are collected, then framed, then written to one member after the other. */
export class Batch<M> {
  readonly payloads: Buffer[] = [];
  /** bytes of all payloads */
  bytes = 0;
  /** when each was read by the hub, in seconds of clock.ts */
  readonly readAt: number[] = [];
  /** whether each came from a sibling */
  readonly relayed: boolean[] = [];
  /** the trace that each belongs to; empty as long as none of this batch is traced */
  readonly traced: (Traced | undefined)[] = [];
  /** who wrote each payload and does not want it back; empty as long as nobody in this batch minds */
  readonly authors: (M | undefined)[] = [];
  /** those of the authors who are members; null where nobody minds */
  minding: Set<M> | null = null;
  /** how many got each payload before the others, because they left; empty as long as nobody did */
  readonly ahead: number[] = [];
  /** members of the channel when its turn came */
  recipients = 0;
  /** of those, who did not take it */
  skipped = 0;
  /** all payloads as they are written to whoever is no author; null: not framed, or not all */
  frames: Buffer | null = null;

  /** Makes it as new, to be used again. */
  clear(): void {
    this.payloads.length = 0;
    this.bytes = 0;
    this.readAt.length = 0;
    this.relayed.length = 0;
    this.traced.length = 0;
    this.authors.length = 0;
    this.minding = null;
    this.ahead.length = 0;
    this.recipients = 0;
    this.skipped = 0;
    this.frames = null;
  }
}

export class Channel<M> {
  readonly name: string;
  /** this worker's number for the channel, never used again for another: siblings address publications by it */
  readonly id: number;
  readonly members = new Set<M>();
  /** joins that have begun and are not yet members; the channel is kept for them */
  claims = 0;
  /** messages that wait for the fan-out; null if none does. Only the fan-out changes it. */
  batch: Batch<M> | null = null;
  /** before this moment the fan-out does not write again, in milliseconds of the monotonic clock */
  restsUntil = 0;

  constructor(name: string, id: number) {
    this.name = name;
    this.id = id;
  }
}
