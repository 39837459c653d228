/**
 * Appends that the broker has not acknowledged, in the order of their numbers. They are sent again over a new link.
 */
import type { Append, Appended } from '../../engine/engine.ts';

export interface Unacknowledged {
  readonly append: Append;
  /** called with the position; null: the sender does not need it */
  placed: ((result: Appended) => void) | null;
}

/** memory of the objects of one append */
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

  /** Returns the append with this number. Numbers are consecutive. */
  get(number: number): Unacknowledged | undefined {
    const first = this.#items[this.#head]?.append.number ?? Infinity;
    return number < first ? undefined : this.#items[this.#head + number - first];
  }

  /** Removes all appends up to this number. */
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

  /** All appends, oldest first. */
  all(): readonly Unacknowledged[] {
    return this.#items.slice(this.#head);
  }
}

function sizeOf({ append: { payload, meta } }: Unacknowledged): number {
  return appendBytes + payload.length + meta.length;
}
