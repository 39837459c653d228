/**
 * The store of the embedded engine. The engine records each change, and `commit` makes the changes survive the
 * process; delivery and acknowledgement follow the commit. After a crash of the operating system without `close` the
 * state is lost.
 */
import type { Position } from '../engine.ts';
import type { KeyEntry } from './idempotency-keys.ts';

/** A stored publication. */
export interface StoredAppend {
  readonly channel: string;
  readonly position: Position;
  readonly time: number;
  readonly payload: string;
  readonly meta: string;
  readonly key: string;
  readonly worker: string;
  readonly number: number;
}

/** Receives the changes in the order in which they were recorded. An append may be repeated. */
export interface StoreReader {
  append(append: StoredAppend): void;
  /** The channel has this epoch, and offsets up to this one have been given. */
  stream(channel: string, position: Position): void;
  /** The messages up to this position were removed. */
  removed(channel: string, position: Position): void;
  key(entry: KeyEntry): void;
  /** The appends of the worker up to this number were stored. */
  worker(worker: string, number: number): void;
}

/** The complete state, for a file without removed data. */
export interface Snapshot {
  /**
   * Writes the next part.
   * @returns false: it was the last part
   */
  next(writer: StoreReader): boolean;
}

export interface Store extends StoreReader {
  /**
   * Passes the stored changes to the reader.
   * @returns false: there are none, or they are not reliable
   */
  open(reader: StoreReader): boolean;
  /** Makes all changes since the last call survive this process. */
  commit(): void;
  /** Bytes of the files. */
  readonly bytes: number;
  /** Removes the files, because they are incomplete and must not be read. A rewrite starts again. Never throws. */
  discard(): void;
  /** Starts a new file for the complete state, which `step` copies from the snapshot. */
  rewrite(snapshot: Snapshot): void;
  /**
   * Does one step of a rewrite.
   * @returns whether steps remain
   */
  step(): boolean;
  /** Makes the committed changes survive the operating system too, and closes the store. */
  close(): void;
}
