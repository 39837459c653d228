/**
 * Channels whose messages come faster than this worker or a sibling can pass them on, and the publishers that wait
 * until that is over. Knows no socket and no clock.
 */

interface Congested {
  /** how many queues are too long: of the local fan-out, and of links */
  causes: number;
  readonly waiting: (() => void)[];
}

export class Congestion {
  readonly #channels = new Map<string, Congested>();

  /** One queue of the channel has grown too long. */
  begin(channel: string): void {
    const congested = this.#channels.get(channel);
    if (congested) congested.causes += 1;
    else this.#channels.set(channel, { causes: 1, waiting: [] });
  }

  /** One of them has drained. */
  end(channel: string): void {
    const congested = this.#channels.get(channel);
    if (!congested || --congested.causes > 0) return;
    this.#channels.delete(channel);
    for (const resume of congested.waiting) resume();
  }

  /** Publishers of the channel should wait. */
  has(channel: string): boolean {
    return this.#channels.size > 0 && this.#channels.has(channel);
  }

  /** Calls back when the channel is no longer congested; at once if it is not. */
  wait(channel: string, resume: () => void): void {
    const congested = this.#channels.get(channel);
    if (congested) congested.waiting.push(resume);
    else resume();
  }
}
