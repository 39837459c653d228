/** Streams in the order of their last use: a linked list through the streams, so that a use needs no allocation. */
import type { Stream } from './stream.ts';

export class UsageOrder {
  #oldest: Stream | null = null;
  #newest: Stream | null = null;

  /** Iterates over all streams, least recently used first. The current stream may be removed. */
  *oldestFirst(): Iterable<Stream> {
    let stream = this.#oldest;
    while (stream) {
      const { newer } = stream;
      yield stream;
      stream = newer;
    }
  }

  /** Moves a stream to the end, or adds it there. */
  use(stream: Stream): void {
    if (this.#newest === stream) return;
    this.remove(stream);
    stream.older = this.#newest;
    if (this.#newest) this.#newest.newer = stream;
    this.#newest = stream;
    this.#oldest ??= stream;
  }

  /** Removes a stream. Does nothing if it is not in the list. */
  remove(stream: Stream): void {
    const { older, newer } = stream;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    if (this.#oldest === stream) this.#oldest = newer;
    if (this.#newest === stream) this.#newest = older;
    stream.older = stream.newer = null;
  }
}
