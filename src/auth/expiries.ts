/**
 * Items that expire at a time of the wall clock, grouped by second: no timer per item, and one comparison while nothing is
 * due. The time is an argument, and may jump.
 */
export class Expiries<T> {
  readonly #bySecond = new Map<number, Set<T>>();
  /** no item is due before this second */
  #earliest = Infinity;

  /** @param expiresAt Unix time in seconds; Infinity: never, and not stored */
  add(item: T, expiresAt: number): void {
    if (expiresAt === Infinity) return;
    const second = Math.ceil(expiresAt);
    const items = this.#bySecond.get(second);
    if (items) items.add(item);
    else this.#bySecond.set(second, new Set([item]));
    this.#earliest = Math.min(this.#earliest, second);
  }

  /** @param expiresAt the same value as in `add` */
  delete(item: T, expiresAt: number): void {
    const second = Math.ceil(expiresAt);
    const items = this.#bySecond.get(second);
    if (items?.delete(item) && items.size === 0) this.#bySecond.delete(second);
  }

  /**
   * Removes and yields all items due at `now`. The caller may spread the iteration over several turns of the event loop, and
   * add and delete items meanwhile, but must finish it.
   */
  *due(now: number): Generator<T> {
    if (now < this.#earliest) return;
    for (const [second, items] of this.#bySecond) {
      if (second > now) continue;
      for (const item of items) {
        items.delete(item);
        yield item;
      }
      if (items.size === 0 && this.#bySecond.get(second) === items) this.#bySecond.delete(second);
    }
    this.#earliest = Infinity;
    for (const second of this.#bySecond.keys()) this.#earliest = Math.min(this.#earliest, second);
  }
}
