/**
 * Publications that a sibling has missed because its link was down, by channel. When it is linked again, the subscribers of these
 * channels are told how many there were. Above a number of channels further ones are not told.
 */

const maxChannels = 10_000;

export class Missed {
  readonly #counts = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  add(channel: string, count: number): void {
    const known = this.#counts.get(channel);
    if (known === undefined && this.#counts.size >= maxChannels) return;
    this.#counts.set(channel, (known ?? 0) + count);
  }

  /** Passes on all counts, and forgets them. */
  take(tell: (channel: string, count: number) => void): void {
    for (const [channel, count] of this.#counts) tell(channel, count);
    this.#counts.clear();
  }
}
