/**
 * Channels whose publications arrive faster than this worker or a sibling can handle, and the publishers that wait
 * until this ends. Knows no socket and no clock.
 */

interface Congested {
  /** number of queues that are too long: the local fan-out and links */
  causes: number;
  readonly waiting: (() => void)[];
}

export class Congestion {
  readonly #channels = new Map<string, Congested>();

  /** Called when a queue of the channel has grown too long. */
  begin(channel: string): void {
    const congested = this.#channels.get(channel);
    if (congested) congested.causes += 1;
    else this.#channels.set(channel, { causes: 1, waiting: [] });
  }

  /** Called when one of these queues has drained. */
  end(channel: string): void {
    const congested = this.#channels.get(channel);
    if (!congested || --congested.causes > 0) return;
    this.#channels.delete(channel);
    for (const resume of congested.waiting) resume();
  }

  /** Returns whether publishers of the channel should wait. */
  has(channel: string): boolean {
    return this.#channels.size > 0 && this.#channels.has(channel);
  }

  /** Calls `resume` when the channel is no longer congested, or at once if it is not. */
  wait(channel: string, resume: () => void): void {
    const congested = this.#channels.get(channel);
    if (congested) congested.waiting.push(resume);
    else resume();
  }
}
