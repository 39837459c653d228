/**
 * The engine of the broker: streams of publications with positions. Every engine keeps these rules:
 *
 * 1. A position is an epoch and an offset, per channel. Each offset of an epoch is given once, and offsets grow by
 *    one.
 * 2. A publication is stored before it is delivered or acknowledged, so a known offset is never given again.
 * 3. `complete` means that all publications after the requested position are present, or that the position is the
 *    top. Otherwise the answer has the current top and no messages.
 * 4. The epoch outlives the messages. It changes when rule 1 cannot be kept.
 * 5. A repeated append is stored once. Appends are equal if they have the same worker and number, or the same
 *    idempotency key.
 */
import type { Position } from '../channel/position.ts';

export type { Position } from '../channel/position.ts';

/**
 * The history of a channel: how much is kept, and for how long. Durations in milliseconds.
 * - `historySize` 0: no history
 */
export interface HistoryRule {
  readonly historySize: number;
  readonly historyTtlMs: number;
  readonly historyMetaTtlMs: number;
}

/** Data that is delivered with a publication to current subscribers, and not stored. */
export interface Live {
  /** the number of the sending subscription in its worker, so that it can be excluded; 0: none */
  readonly sender: number;
  /** when the hub read it, in seconds of clock.ts */
  readonly readAt: number;
  /** its trace context; empty: not traced */
  readonly trace: Buffer;
}

/** A publication that must be stored. */
export interface Append extends Live {
  readonly channel: string;
  readonly payload: Buffer;
  /** data that is stored with the publication, such as the user of the sender; empty: none */
  readonly meta: Buffer;
  /** the idempotency key: appends to a channel with the same key within five minutes are stored once; `''`: none */
  readonly key: string;
  /** identifies the sending worker process, never used again; its numbers only grow */
  readonly worker: string;
  /** number of the append in that process */
  readonly number: number;
}

export interface Appended {
  /** null: it was stored before, and its position is no longer known */
  readonly position: Position | null;
  /**
   * - `key`: an append with the same idempotency key was stored before; this one is not delivered
   * - `retry`: this append was stored before; it is not delivered again
   * - `null`: it is new
   */
  readonly duplicate: 'key' | 'retry' | null;
}

/** A publication in a stream. */
export interface Stored {
  readonly offset: number;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  /** the bytes as latin1, one character each: a string needs less memory than a Buffer and keeps no chunk */
  readonly payload: string;
  readonly meta: string;
}

export interface Page {
  readonly top: Position;
  /** see rule 3; always true for a read without a position */
  readonly complete: boolean;
  /** oldest first */
  readonly messages: readonly Stored[];
  /** of a page: more messages are kept in its direction */
  readonly more?: boolean;
}

/** The part of a stream to read. */
export interface Range {
  /** read everything after this position; null: read the last messages */
  readonly since: Position | null;
  /** most messages; with `since`, more messages make the page incomplete */
  readonly limit: number;
  /** most bytes of messages; see `limit` */
  readonly limitBytes: number;
  /**
   * Absent: everything behind the position, or nothing. `forward`: the first messages behind it, without a position the
   * oldest; `reverse`: the last ones before it, without one the newest. A page has at least one message if there is any.
   */
  readonly page?: 'forward' | 'reverse';
}

export interface EngineEvents {
  /** A publication was stored and must be delivered. Called in the order of offsets of each channel. */
  publication(append: Append, position: Position, time: number): void;
  /**
   * Called when stored publications begin or cease to survive this process.
   * @param reason the cause of the failure, for the log
   */
  durable(isDurable: boolean, reason?: string): void;
}

/** Calls for one channel take effect in the order in which they were made. */
export interface Engine {
  /**
   * Stores a batch.
   * @returns one result per append, in the same order
   */
  publish(batch: readonly Append[]): Promise<readonly Appended[]>;
  /** Reads a stream. Creates its epoch if there is none, so that the first subscriber has a position. */
  history(channel: string, range: Range): Promise<Page>;
  /** Removes all messages of a stream. Its epoch and offset stay. */
  remove(channel: string): Promise<Position>;
  /** Closes the engine, so that stored publications survive this process. */
  close(): Promise<void>;
}

/** Events of an engine that several machines share. */
export interface SharedEngineEvents extends EngineEvents {
  /** A machine has published to a subscribed channel without history. */
  relayed(channel: string, payload: Buffer, trace: Buffer): void;
  /** Another machine has sent a message. */
  control(message: string): void;
  /** The engine is reached. Publications of subscribed channels may have been missed since `down`. */
  up(): void;
  /** The engine is not reached: reads fail, and appends wait. */
  down(reason: string): void;
}

/**
 * An engine that several machines share. `publication` is called for the appends of all machines, for subscribed
 * channels only. A publication can be missed without `down`; then a later one leaves a hole in the offsets, or `tops`
 * tells.
 */
export interface SharedEngine extends Engine {
  readonly isUp: boolean;
  /**
   * Subscribes to the publications of a channel, until `unsubscribe`, also over later connections.
   * @returns a promise that resolves when every later publication is received, and rejects if the engine is not reached
   */
  subscribe(channel: string): Promise<void>;
  /** The channel has no subscribers. */
  unsubscribe(channel: string): void;
  /** Publishes to a channel without history on the other machines, at most once. */
  relay(channel: string, payload: Buffer, trace: Buffer): void;
  /**
   * Returns the positions of the last publications of channels, in the same order.
   * - `null`: the channel has no position, or the last one is not valid
   */
  tops(channels: readonly string[]): Promise<readonly (Position | null)[]>;
  /**
   * Sends a message to all other machines.
   * @returns their ids: those that have used the engine in the last seconds
   */
  broadcast(message: string): Promise<readonly string[]>;
  /** Sends a message to another machine, if it is there. */
  send(machine: string, message: string): void;
  /** Ids of the machines that use the engine, this one included, by the last beat. */
  readonly machines: readonly string[];
}
