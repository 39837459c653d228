/** Streams in the order of their last use: a list through the streams themselves, so that a use costs no allocation. */
import type { Stream } from './stream.ts';

export class UsageOrder {
  #oldest: Stream | null = null;
  #newest: Stream | null = null;

  /** Each stream once, also if it is removed meanwhile; those not used for the longest time first. */
  *oldestFirst(): Iterable<Stream> {
    let stream = this.#oldest;
    while (stream) {
      const { newer } = stream;
      yield stream;
      stream = newer;
    }
  }

  /** Puts a stream, new or not, behind all others. */
  use(stream: Stream): void {
    if (this.#newest === stream) return;
    this.remove(stream);
    stream.older = this.#newest;
    if (this.#newest) this.#newest.newer = stream;
    this.#newest = stream;
    this.#oldest ??= stream;
  }

  /** Takes a stream out; nothing happens if it is not in. */
  remove(stream: Stream): void {
    const { older, newer } = stream;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    if (this.#oldest === stream) this.#oldest = newer;
    if (this.#newest === stream) this.#newest = older;
    stream.older = stream.newer = null;
  }
}
