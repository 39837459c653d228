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

  /** Takes out all that ends at `now` or before. */
  due(now: number): T[] {
    if (now < this.#earliest) return [];
    const due: T[] = [];
    this.#earliest = Infinity;
    for (const [second, items] of this.#bySecond) {
      if (second <= now) {
        due.push(...items);
        this.#bySecond.delete(second);
      } else {
        this.#earliest = Math.min(this.#earliest, second);
      }
    }
    return due;
  }
}
