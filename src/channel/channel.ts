/**
 * A channel in this worker: its name, its local members, and the publications that wait to be written to them. State
 * only: registry.ts opens and closes channels, fan-out.ts writes to members.
 */
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Publication } from './publication.ts';

/** Makes the bytes that a member reads; a protocol fits. Members that speak alike share one, and its output. */
export interface PublicationEncoder {
  /** One buffer with all publications of the channel, in order. */
  publications(channel: string, publications: readonly Publication[]): Buffer;
}

/** `skipped`: the bytes were left out. `over limit`: they were queued, and the member reads too slowly. */
export type WriteResult = 'sent' | 'skipped' | 'over limit';

/** One membership of a channel; client/client.ts fits. */
export interface Member {
  /** place in the order of joining the channel; only the registry changes it */
  number: number;
  readonly encoder: PublicationEncoder;
  /** Queues the bytes of so many publications for the peer. */
  write(bytes: Buffer, publications: number): WriteResult;
}

interface Encoded {
  readonly encoder: PublicationEncoder;
  /** the first publication in it */
  readonly start: number;
  readonly bytes: Buffer;
}

/** Publications of one channel, in order: they are collected, then encoded, then written to one member after the other. */
export class Batch<M> {
  readonly messages: Publication<M>[];
  /** bytes of all payloads */
  bytes: number;
  /** senders among the members that do not want their own publications back; null: none */
  excludedSenders: Set<M> | null = null;
  /** members of the channel when its turn came */
  recipients = 0;
  /** recipients that were skipped */
  skipped = 0;
  /** Members that do not get the first publications, with their number: they joined later, or have them. Null: none. */
  starts: Map<M, number> | null = null;
  /** all publications, as the encoder of most members makes them; null: not encoded since the last one was added */
  #whole: Encoded | null = null;
  /** what was encoded last besides: for other encoders, or from a later publication on */
  #others: Encoded[] = [];

  constructor(first: Publication<M>) {
    this.messages = [first];
    this.bytes = first.payload.length;
  }

  add(message: Publication<M>): void {
    this.messages.push(message);
    this.bytes += message.payload.length;
    this.#whole = null;
    if (this.#others.length > 0) this.#others = [];
  }

  /** The publications from `start` on, encoded once for all members that share the encoder. */
  encoded(channel: string, encoder: PublicationEncoder, start: number): Buffer {
    const whole = this.#whole;
    if (whole !== null && whole.encoder === encoder && start === 0) return whole.bytes;
    const known = this.#others.find((other) => other.encoder === encoder && other.start === start);
    if (known) return known.bytes;
    const publications = start === 0 ? this.messages : this.messages.slice(start);
    const encoded = { encoder, start, bytes: encoder.publications(channel, publications) };
    if (whole === null && start === 0) {
      this.#whole = encoded;
    } else {
      if (this.#others.length === maxOthers) this.#others.shift();
      this.#others.push(encoded);
    }
    return encoded.bytes;
  }
}

/** There are about as many encoders in use on one channel. */
const maxOthers = 6;

export class Channel<M> {
  readonly name: string;
  /** this worker's number for the channel, never used again for another: siblings address publications by it */
  readonly id: number;
  /** of its namespace */
  readonly options: ChannelOptions;
  /** in the order of joining; only the registry changes it */
  readonly members = new Set<M>();
  /** the number of the member that joined last */
  lastNumber = 0;
  /** joins that have begun and are not yet members; the channel is kept for them */
  reservations = 0;
  /** publications that wait for the fan-out; null: none. Only the fan-out changes it. */
  batch: Batch<M> | null = null;
  /** its publications come faster than they can be written; only the fan-out changes it */
  congested = false;
  /** it is in the fan-out's list, and the channel that follows there; only the fan-out changes them */
  listed = false;
  nextListed: Channel<M> | null = null;
  /** when the fan-out last wrote and began its rest, in milliseconds of the monotonic clock */
  wroteAt = -Infinity;
  /** When that rest ends; NaN until it is asked for. Most channels are never asked: it needs the whole audience. */
  windowEndsAt = NaN;

  constructor(name: string, id: number, options: ChannelOptions) {
    this.name = name;
    this.id = id;
    this.options = options;
  }
}
