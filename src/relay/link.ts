/**
 * One stream to one sibling: what is sent is collected and leaves in one write per turn, what comes is decoded.
 * A link is opened by the exchange of hellos and never heals: when it closes the mesh makes a new one. Each side is
 * ended by its worker, behind the last frame, and read to that end by the sibling. It promises order, and that it
 * buffers no more than its bound: past it publications are dropped and counted.
 */
import type { Socket } from 'node:net';
import { maxRestingBytes } from '../channel/rest.ts';
import type { Counters } from '../counters.ts';
import { readShared, writeNow } from '../fast-socket.ts';
import { FrameDecoder, FrameError, type FrameReceiver } from './frame-decoder.ts';
import { FrameEncoder } from './frame-encoder.ts';

/** What a link may buffer for a sibling that does not read, in bytes. */
export const linkMaxBytes = 64 * 1024 * 1024;

/** what may wait leaves after so many milliseconds at the latest */
const laterMs = 20;

/** The frames of a link and the events of its life. */
export interface LinkOwner extends FrameReceiver<Link> {
  /** The sibling reads again after the bound was reached; interest announced meanwhile is not known to it. */
  recovered(link: Link): void;
  /** The sibling has ended its side, and all that it had written has been read. */
  finished(link: Link): void;
  /** Last call of all. `error` is why, where it did not just end. */
  closed(link: Link, error: Error | undefined): void;
}

/** A sibling that the primary has named, and the link to it. */
export interface Peer {
  readonly workerId: string;
  /** the Unix socket on which it listens for links */
  readonly path: string;
  /** null while there is none; then `met` says whether publications may be missed */
  link: Link | null;
  /** it has been linked before */
  met: boolean;
  /** its complete interest has come over the present link */
  synced: boolean;
  /** its connections, as it last said */
  connections: number;
  /** it is about to end and takes no commands */
  leaving: boolean;
  /** it has stopped calling commands here, because this worker is about to end */
  quiet: boolean;
}

export class Link {
  /** the sibling at the other end; null until its hello has been accepted. Only peers.ts sets it. */
  peer: Peer | null = null;
  readonly #out = new FrameEncoder();
  readonly #socket: Socket;
  readonly #counters: Counters;
  readonly #maxBytes: number;
  /** until then what was collected may wait for more; 0: it is to leave with this turn */
  #restsUntil = Infinity;
  /** the bound was reached and the buffer has not drained since */
  #congested = false;
  #error: Error | undefined;
  /** frames that were written */
  #written = 0;
  /** nothing is written any more; only `end` sets it */
  ended = false;
  /** publications in `#out`, and those handed to the socket since it last had nothing to write */
  #pending = 0;
  #unsent = 0;

  constructor(socket: Socket, owner: LinkOwner, counters: Counters, maxBytes: number = linkMaxBytes) {
    this.#socket = socket;
    this.#counters = counters;
    this.#maxBytes = maxBytes;
    const decoder = new FrameDecoder<Link>(this, owner);
    readShared(socket, (bytes, length) => {
      counters.relayBytes.in += length;
      const before = decoder.frames;
      try {
        const chunk = Buffer.allocUnsafe(length); // messages are views of it
        bytes.copy(chunk, 0, 0, length);
        decoder.push(chunk);
      } catch (error) {
        this.destroy(error as Error);
        if (!(error instanceof FrameError)) throw error;
        counters.relayErrors[error.kind] += 1;
      } finally {
        counters.relayFrames.in += decoder.frames - before;
      }
    });
    socket.on('end', () => {
      owner.finished(this);
    });
    socket.on('drain', () => {
      this.#unsent = 0;
      if (!this.#congested) return;
      this.#congested = false;
      owner.recovered(this);
    });
    socket.on('error', (error) => {
      if (this.peer !== null) counters.relayErrors.peer_reset += 1;
      this.#error ??= error;
    });
    socket.on('close', () => {
      owner.closed(this, this.#error);
    });
  }

  /** Where interest, commands and answers are written to; they leave with this turn. */
  get out(): FrameEncoder {
    this.#restsUntil = 0;
    return this.#out;
  }

  /** Where that is written to which may wait a little for something to go along with. */
  get outLater(): FrameEncoder {
    this.#restsUntil = Math.min(this.#restsUntil, performance.now() + laterMs);
    return this.#out;
  }

  /** False: what is sent now would be dropped. Interest announced meanwhile is sent anew when it recovers. */
  get writable(): boolean {
    return !this.#congested;
  }

  /** Bytes that the sibling has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#out.pendingBytes;
  }

  /** The largest number of publications that the sibling can have missed if the link is destroyed now. */
  get unsentPublications(): number {
    return this.#unsent + this.#pending;
  }

  /**
   * @param restsUntil until then it may wait for more; milliseconds of the monotonic clock
   * @param handedAt now, in seconds of clock.ts
   * @param age seconds for which this worker has had the message
   */
  publish(
    channelId: number,
    payload: Buffer,
    restsUntil: number,
    handedAt: number,
    age: number,
    trace: Buffer | null,
  ): void {
    if (this.#congested || this.#out.pendingBytes > this.#maxBytes) {
      this.#counters.dropped.relay_backpressure += 1;
      return;
    }
    this.#out.publish(channelId, payload, handedAt, age, trace);
    this.#pending += 1;
    if (restsUntil < this.#restsUntil) this.#restsUntil = restsUntil;
  }

  /**
   * Writes what was collected, unless it may wait.
   * @param now milliseconds of the monotonic clock; Infinity writes in any case
   * @returns milliseconds for which it waits; Infinity if nothing does
   */
  flush(now: number): number {
    const pending = this.#out.pendingBytes;
    if (pending === 0 || this.ended) return Infinity;
    if (this.#restsUntil > now && pending < maxRestingBytes) return this.#restsUntil - now;
    this.#restsUntil = Infinity;
    const frames = this.#out.take();
    this.#counters.relayBytes.out += frames.length;
    this.#counters.relayFrames.out += this.#out.frames - this.#written;
    this.#written = this.#out.frames;
    const waiting = writeNow(this.#socket, frames);
    this.#unsent = waiting === 0 ? 0 : this.#unsent + this.#pending;
    this.#pending = 0;
    if (waiting === 0) this.#out.recycle(frames);
    else if (waiting > this.#maxBytes) this.#congested = true;
    return Infinity;
  }

  /** Ends this side behind all that was sent; the sibling's side is read to its own end. */
  end(): void {
    if (this.ended) return;
    this.flush(Infinity);
    this.ended = true;
    this.#socket.end();
  }

  /** @param error why, if it is not the end of the process or of the sibling */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
