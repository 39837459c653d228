/**
 * What ends at a moment of the wall clock, kept by its second: no timer for each, and a look at a number where
 * nothing is due. Dry: the time is given, and it may jump.
 */
export class Expiries<T> {
  readonly #bySecond = new Map<number, Set<T>>();
  /** nothing is due before this second */
  #earliest = Infinity;

  /** @param expiresAt Unix time in seconds; Infinity is never due, and not kept */
  add(item: T, expiresAt: number): void {
    if (expiresAt === Infinity) return;
    const second = Math.ceil(expiresAt);
    const items = this.#bySecond.get(second);
    if (items) items.add(item);
    else this.#bySecond.set(second, new Set([item]));
    this.#earliest = Math.min(this.#earliest, second);
  }

  /** @param expiresAt as it was added */
  delete(item: T, expiresAt: number): void {
    const second = Math.ceil(expiresAt);
    const items = this.#bySecond.get(second);
    if (items?.delete(item) && items.size === 0) this.#bySecond.delete(second);
  }

  /**
   * Takes out all that ends at `now` or before, one after the other. It may be walked through over several turns, and
   * others may be added and deleted meanwhile; it must be walked through to its end.
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
