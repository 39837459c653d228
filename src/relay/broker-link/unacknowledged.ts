/** Appends that the broker has not acknowledged, in the order of their numbers: they are sent again over a new link. */
import type { Append, Appended } from '../../engine/engine.ts';

export interface Unacknowledged {
  readonly append: Append;
  /** null: the sender does not ask where it was stored */
  placed: ((result: Appended) => void) | null;
}

/** The objects of one append. */
const appendBytes = 200;

export class UnacknowledgedQueue {
  #items: Unacknowledged[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Unacknowledged): void {
    this.#items.push(item);
    this.#bytes += sizeOf(item);
  }

  /** Finds the append with this number; numbers follow one another. */
  get(number: number): Unacknowledged | undefined {
    const first = this.#items[this.#head]?.append.number ?? Infinity;
    return number < first ? undefined : this.#items[this.#head + number - first];
  }

  /** Drops everything up to this number. */
  acknowledge(number: number): void {
    for (let item = this.#items[this.#head]; item && item.append.number <= number;) {
      this.#bytes -= sizeOf(item);
      item = this.#items[++this.#head];
    }
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head > this.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Oldest first. */
  all(): readonly Unacknowledged[] {
    return this.#items.slice(this.#head);
  }
}

function sizeOf({ append: { payload, meta } }: Unacknowledged): number {
  return appendBytes + payload.length + meta.length;
}
