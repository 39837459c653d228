/** The idempotency keys of the last minutes with their positions, limited by time and by memory. */
import type { Position } from '../engine.ts';

/** How long a key is remembered, in milliseconds. */
export const keyTtlMs = 300_000;
/** memory of a map entry with its objects */
const entryBytes = 160;

export interface KeyEntry {
  readonly channel: string;
  readonly key: string;
  readonly position: Position;
  /** first use, in milliseconds of the clock of the engine */
  readonly time: number;
}

export class IdempotencyKeys {
  readonly #maxBytes: number;
  /** oldest first */
  readonly #entries = new Map<string, KeyEntry>();
  #bytes = 0;
  /** number of keys that were removed early because of the memory limit */
  evicted = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(channel: string, key: string): Position | undefined {
    return this.#entries.get(nameOf(channel, key))?.position;
  }

  add(entry: KeyEntry): void {
    const name = nameOf(entry.channel, entry.key);
    if (this.#entries.has(name)) return;
    this.#entries.set(name, entry);
    this.#bytes += bytesOf(name);
    while (this.#bytes > this.#maxBytes && this.#entries.size > 1) {
      this.#dropOldest();
      this.evicted += 1;
    }
  }

  /** Removes keys that are older than `keyTtlMs`. */
  expire(now: number): void {
    for (const { time } of this.#entries.values()) {
      if (time + keyTtlMs > now) return;
      this.#dropOldest();
    }
  }

  /** Oldest first. */
  entries(): Iterable<KeyEntry> {
    return this.#entries.values();
  }

  #dropOldest(): void {
    for (const name of this.#entries.keys()) {
      this.#entries.delete(name);
      this.#bytes -= bytesOf(name);
      return;
    }
  }
}

/** Returns the map key. It is unique, because channel names have no control characters. */
function nameOf(channel: string, key: string): string {
  return `${channel}\n${key}`;
}

function bytesOf(name: string): number {
  return entryBytes + 2 * name.length;
}
