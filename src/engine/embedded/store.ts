/**
 * What the embedded engine needs of the file beside it. The engine says what happens, `commit` makes it outlive the
 * process; nothing is told to anybody before. After a crash of the operating system, without `close`, nothing is kept.
 */
import type { Position } from '../engine.ts';
import type { KeyEntry } from './idempotency-keys.ts';

/** A kept publication as it stands in the file. */
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

/** Takes what a store has kept, in the order in which it happened; an append may come twice. */
export interface StoreReader {
  append(append: StoredAppend): void;
  /** The channel has this epoch, and offsets up to this one were given. */
  stream(channel: string, position: Position): void;
  /** All messages up to this position were removed. */
  removed(channel: string, position: Position): void;
  key(entry: KeyEntry): void;
  /** Appends of the worker up to this number were stored. */
  worker(worker: string, number: number): void;
}

/** All that is to be kept, for a file without what is not. */
export interface Snapshot {
  /** Writes some more of it. @returns false: that was the last */
  next(writer: StoreReader): boolean;
}

export interface Store extends StoreReader {
  /** Hands over what was kept. @returns false: nothing, or nothing that can be relied on */
  open(reader: StoreReader): boolean;
  /** Makes all that was said since the last call outlive this process. */
  commit(): void;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Removes what was written: it has a hole, and must not be read again. A rewrite begins anew. Never throws. */
  discard(): void;
  /** Begins a file of its own for what is still kept, to be filled from the snapshot in steps. */
  rewrite(snapshot: Snapshot): void;
  /** Does a step of a rewrite. @returns whether there is more to do */
  step(): boolean;
  /** Makes what was committed outlive the operating system too, and ends. */
  close(): void;
}
