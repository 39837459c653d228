/**
 * A channel in this worker: its name, its local members, and its batch of publications. State only: registry.ts opens
 * and closes channels, fan-out.ts writes to members.
 */
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Publication } from './publication.ts';

/** Encodes publications for members; a protocol implements it. Members with the same encoder share its output. */
export interface PublicationEncoder {
  /** Encodes the publications of a channel into one buffer, in order. */
  publications(channel: string, publications: readonly Publication[]): Buffer;
}

/**
 * The result of a write:
 * - `sent`: the bytes were queued
 * - `skipped`: the bytes were dropped, because the member is slow
 * - `over limit`: the bytes were queued, and the member is over its limit
 */
export type WriteResult = 'sent' | 'skipped' | 'over limit';

/** A member of a channel; client/client.ts implements it. */
export interface Member {
  /** place in the order of joins; only the registry changes it */
  number: number;
  readonly encoder: PublicationEncoder;
  /** Queues the bytes of `publications` publications for the client. */
  write(bytes: Buffer, publications: number): WriteResult;
}

interface Encoded {
  readonly encoder: PublicationEncoder;
  /** index of its first publication */
  readonly start: number;
  readonly bytes: Buffer;
}

/** Publications of one channel, in order. A batch is collected, then encoded, then written to each member. */
export class Batch<M> {
  readonly messages: Publication<M>[];
  /** bytes of all payloads */
  bytes: number;
  /** members that do not receive their own publications; null: none */
  excludedSenders: Set<M> | null = null;
  /** number of members when the write began */
  recipients = 0;
  /** number of recipients that were skipped */
  skipped = 0;
  /**
   * members that get only publications from this index on, because they joined later or have the first ones; null:
   * none
   */
  starts: Map<M, number> | null = null;
  /** all publications, by the first encoder that was used; null: not encoded since the last change */
  #whole: Encoded | null = null;
  /** other results: by other encoders, or from a later publication on */
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

  /** Returns the publications from `start` on, encoded once for all members with the same encoder. */
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

/** number of cached results; more encoders are rarely in use on one channel */
const maxOthers = 6;

export class Channel<M> {
  readonly name: string;
  /** the number of the channel in this worker, never used again: siblings address publications by it */
  readonly id: number;
  /** options of its namespace */
  readonly options: ChannelOptions;
  /** members in the order of joins; only the registry changes it */
  readonly members = new Set<M>();
  /** the number of the member that joined last */
  lastNumber = 0;
  /** joins in progress, which keep the channel open */
  reservations = 0;
  /** publications that wait for the fan-out; null: none. Only the fan-out changes it. */
  batch: Batch<M> | null = null;
  /** its publications arrive faster than they can be written; only the fan-out changes it */
  congested = false;
  /** it is in the list of the fan-out; only the fan-out changes it */
  listed = false;
  /** the next channel in that list; null: none */
  nextListed: Channel<M> | null = null;
  /** when the fan-out last wrote a batch, in milliseconds of the monotonic clock */
  wroteAt = -Infinity;
  /**
   * end of the batching window; `NaN`: not computed yet. Most channels never need it, and it depends on the whole
   * audience.
   */
  windowEndsAt = NaN;

  constructor(name: string, id: number, options: ChannelOptions) {
    this.name = name;
    this.id = id;
    this.options = options;
  }
}
