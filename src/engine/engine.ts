/**
 * What the broker needs of an engine: streams of publications with positions. Every engine keeps these rules:
 *
 * 1. A position is an epoch and an offset, per channel. Offsets of one epoch are given once and grow by one.
 * 2. A publication is stored before anybody is told of it: no offset that was seen is given again.
 * 3. `complete` says that everything behind the asked position is there, or that the position is the top. In every
 *    other case the answer has the present top and no messages.
 * 4. The epoch outlives the messages, and changes whenever rule 1 can no longer be kept.
 * 5. An append that is sent again, with its worker and number or with its idempotency key, is stored once.
 */
import type { Position } from '../channel/position.ts';

export type { Position } from '../channel/position.ts';

/** What of a channel is kept, and for how long; `size` 0: nothing. Durations in milliseconds. */
export interface HistoryRule {
  readonly historySize: number;
  readonly historyTtlMs: number;
  readonly historyMetaTtlMs: number;
}

/** What goes with a publication to those that listen now, and is not kept. */
export interface Live {
  /** the sender's number in its worker, so that it can be left out; 0: none */
  readonly sender: number;
  /** when the hub read it, in seconds of clock.ts */
  readonly readAt: number;
  /** its trace context; empty: not traced */
  readonly trace: Buffer;
}

/** A publication on its way into a stream. */
export interface Append extends Live {
  readonly channel: string;
  readonly payload: Buffer;
  /** what the hub keeps beside it, such as the sender's user; empty: nothing */
  readonly meta: Buffer;
  /** an append with the same key in the same channel is stored once, for five minutes; `''`: no key */
  readonly key: string;
  /** the worker process that sent it, unique for all time, and its number there; numbers only grow */
  readonly worker: string;
  readonly number: number;
}

export interface Appended {
  /** null: it was stored before, and its position is no longer known */
  readonly position: Position | null;
  /** `key` or `retry`: it was stored before, and is not delivered again; null: it is new */
  readonly duplicate: 'key' | 'retry' | null;
}

/** A publication in a stream. */
export interface Stored {
  readonly offset: number;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  /** the bytes, each as one character (latin1): a string costs less memory than a Buffer and pins no chunk */
  readonly payload: string;
  readonly meta: string;
}

export interface Page {
  readonly top: Position;
  /** see rule 3; of a read without a position always true */
  readonly complete: boolean;
  /** oldest first */
  readonly messages: readonly Stored[];
}

/** Which part of a stream is read. */
export interface Range {
  /** what follows this position; null: the last messages */
  readonly since: Position | null;
  /** most messages, and most bytes of them; behind a position more than that is not complete */
  readonly limit: number;
  readonly limitBytes: number;
}

export interface EngineEvents {
  /** A publication was stored: for delivery, in the order of each channel's offsets. `append` is that of the publisher. */
  publication(append: Append, position: Position, time: number): void;
  /** Whether what is stored survives this process. `reason`: why not, for the log. */
  durable(isDurable: boolean, reason?: string): void;
}

/** All calls about one channel take effect in the order in which they were made. */
export interface Engine {
  /** Stores a batch. @returns one result for each, in the same order */
  publish(batch: readonly Append[]): Promise<readonly Appended[]>;
  /** Reads a stream; makes its epoch if there is none, so that a first subscriber has a position. */
  history(channel: string, range: Range): Promise<Page>;
  /** Empties the history; epoch and offset stay. */
  remove(channel: string): Promise<Position>;
  /** Ends in order: what is stored survives this process. */
  close(): Promise<void>;
}
