/**
 * The connection to one sibling. Outgoing frames are collected and leave in one write per turn; incoming frames are
 * decoded. A link is opened by the exchange of hellos and never recovers from an error: the mesh opens a new one.
 * Each worker ends its own side after the last frame, and the sibling reads to the end. A link promises the order of
 * each channel and a limit on its buffered bytes.
 *
 * While the sibling keeps up, all frames go through one encoder, in the order in which they were made. When more than
 * a window waits in the socket, publications wait in a queue per channel (channel-queues.ts), and all other frames
 * overtake them. This is safe:
 * - Interest, syncs and acks keep their own order. They describe the channels of one side; publications go to the
 *   channels of the other side. Neither has to precede the other. If an ack overtakes a publication, the new
 *   subscriber gets that publication too: it may get more than it must, and never less.
 * - A publication is addressed by a number of the receiver that is never used again. If the interest is withdrawn in
 *   the meantime, the receiver ignores the publication.
 * - Commands, `leaving` and `quiet` promise no order relative to publications.
 * - `named` publications wait in the same queue as the others of their channel.
 */
import type { Socket } from 'node:net';
import { maxBatchBytes } from '../../channel/tuning.ts';
import type { Publication } from '../../channel/publication.ts';
import type { Counters } from '../../metrics/counters.ts';
import { readDirect, writeNow } from '../../platform/node-internals/raw-socket.ts';
import { ChannelQueues, type Lost } from './channel-queues.ts';
import { FrameDecoder, FrameError, type FrameReceiver } from './frame-decoder.ts';
import { FrameEncoder } from './frame-encoder.ts';
import type { Missed } from './missed.ts';
import { linkMaxBytes, maxDeferMs, windowBytes } from './tuning.ts';

/** The frames of a link and the events of its life. */
export interface LinkOwner extends FrameReceiver<Link> {
  /**
   * The sibling reads again after the limit was reached. Interest that was announced in the meantime must be sent
   * again.
   */
  recovered(link: Link): void;
  /** The sibling has ended its side, and all its frames have been read. */
  finished(link: Link): void;
  /** The queue of a channel became too long, or short enough again; see ChannelQueuesOwner. */
  congested(channel: string, isCongested: boolean): void;
  /**
   * The last call.
   * @param error undefined: the stream ended without an error
   */
  closed(link: Link, error: Error | undefined): void;
}

/** A channel that the sibling has announced; routes.ts fits. */
export interface LinkRoute {
  readonly name: string;
  /** the sibling's number for the channel */
  readonly channelId: number;
  /** until then the next publication may wait for others; milliseconds of the monotonic clock */
  readonly dueAt: number;
}

/** A sibling that the primary has named, and the link to it. */
export interface Peer {
  readonly workerId: string;
  /** the Unix socket on which it listens for links */
  readonly path: string;
  /** null: not linked */
  link: Link | null;
  /** a link to it existed before: publications may be lost while there is none */
  everLinked: boolean;
  /** its complete interest was received over the current link */
  synced: boolean;
  /** its number of connections, by its last report */
  connections: number;
  /** it is about to end and accepts no commands */
  leaving: boolean;
  /** it sends no more commands, because this worker is about to end */
  quiet: boolean;
  /** publications that it has missed, and whose subscribers are not told yet */
  readonly missed: Missed;
}

export class Link {
  /** the sibling at the other end; null: its hello has not been accepted. Only siblings.ts sets it. */
  peer: Peer | null = null;
  readonly #out = new FrameEncoder();
  readonly #socket: Socket;
  readonly #counters: Counters;
  readonly #maxBytes: number;
  /** when the collected frames must be written; 0: at the end of this turn */
  #dueAt = Infinity;
  /** more than a window waits in the socket, which has not drained since */
  #backedUp = false;
  /** frames other than publications reached the limit, and the socket has not drained since */
  #congested = false;
  /** publications that wait until the socket has drained or the sibling releases their channel */
  readonly #queues: ChannelQueues;
  /** Publications must check the queues; false: the encoder takes every publication. */
  #mayQueue = false;
  /** data was received since the last tick of the mesh */
  heard = true;
  /** number of ticks of the mesh without received data */
  silentTicks = 0;
  /** the awaited echo; 0: none. Until it is received, the interest of the sibling may be incomplete here. */
  awaitedEcho = 0;
  #error: Error | undefined;
  /** number of written frames */
  #written = 0;
  /** this side has ended; only `end` sets it */
  ended = false;
  /** publications in `#out` */
  #pending = 0;
  /** publications that were handed to the socket since it was last empty */
  #unsent = 0;

  constructor(socket: Socket, owner: LinkOwner, counters: Counters, maxBytes: number = linkMaxBytes) {
    this.#socket = socket;
    this.#counters = counters;
    this.#maxBytes = maxBytes;
    this.#queues = new ChannelQueues(maxBytes, {
      congested: (channel, isCongested) => {
        owner.congested(channel, isCongested);
      },
      dropped: () => {
        counters.dropped.relay_backpressure += 1;
      },
    });
    const decoder = new FrameDecoder<Link>(this, owner);
    readDirect(socket, (bytes, length) => {
      counters.relayBytes.in += length;
      this.heard = true;
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
      this.#backedUp = false;
      this.#drain();
      this.#finish();
      if (!this.#congested) return;
      this.#congested = false;
      owner.recovered(this);
    });
    socket.on('error', (error) => {
      if (this.peer !== null) counters.relayErrors.peer_reset += 1;
      this.#error ??= error;
    });
    socket.on('close', () => {
      counters.dropped.relay_down += this.#queues.clear((channel, count) =>
        this.peer?.missed.add(channel, count),
      );
      owner.closed(this, this.#error);
    });
  }

  /** Encoder for interest, commands and answers. The frames leave at the end of this turn. */
  get out(): FrameEncoder {
    this.#dueAt = 0;
    return this.#out;
  }

  /** Encoder for frames that may be delayed a few ms so that they share a write. */
  get deferred(): FrameEncoder {
    this.#dueAt = Math.min(this.#dueAt, performance.now() + maxDeferMs);
    return this.#out;
  }

  /**
   * False: the limit is reached, and no frame may be added. Interest that is announced in the meantime is sent again
   * when the link recovers.
   */
  get writable(): boolean {
    return !this.#congested;
  }

  /** Number of bytes that are buffered for the sibling. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#out.pendingBytes + this.#queues.bytes;
  }

  /** The most publications that the sibling can miss if the link is destroyed now. */
  get unsentPublications(): number {
    return this.#unsent + this.#pending + this.#queues.frames;
  }

  /**
   * Sends a publication, or queues it.
   * @param route the channel, as the sibling has announced it, and when the publication is due
   * @param handedAt now, in seconds of clock.ts
   */
  publish({ name, channelId, dueAt }: LinkRoute, publication: Publication, handedAt: number): void {
    const before = this.#out.pendingBytes;
    this.#out.publish(channelId, publication, handedAt);
    if ((this.#mayQueue || before > windowBytes) && this.#queue(name, channelId, before)) return;
    this.#pending += 1;
    if (dueAt < this.#dueAt) this.#dueAt = dueAt;
  }

  /** Sends a publication by name to a sibling whose present interest is not known; see `publish`. */
  publishNamed(channel: string, publication: Publication, handedAt: number): void {
    const before = this.#out.pendingBytes;
    this.#out.named(channel, publication, handedAt);
    if ((this.#mayQueue || before > windowBytes) && this.#queue(channel, null, before)) return;
    this.#pending += 1;
    this.#dueAt = 0;
  }

  /** Queues the publications of a channel until it is released. */
  hold(channel: string, isHeld: boolean): void {
    if (isHeld) {
      this.#queues.hold(channel);
      this.#mayQueue = true;
    } else {
      this.#queues.release(channel);
      this.#drain();
    }
  }

  /** Releases all channels, because the sibling announces its complete interest again. */
  releaseAll(): void {
    this.#queues.releaseAll();
    this.#drain();
  }

  /**
   * Writes the collected frames, unless they may wait.
   * @param now milliseconds of the monotonic clock; `Infinity`: write in any case
   * @returns milliseconds until the write is due; `Infinity`: nothing waits
   */
  flush(now: number): number {
    const pending = this.#out.pendingBytes;
    if (this.ended) return Infinity;
    if (pending > 0) {
      if (this.#dueAt > now && pending < maxBatchBytes) return this.#dueAt - now;
      this.#write();
    }
    if (this.#mayQueue) this.#drain();
    return Infinity;
  }

  /** Moves the last frame from the encoder to the queue of its channel if it must wait. Returns whether it did. */
  #queue(channel: string, channelId: number | null, start: number): boolean {
    if (!this.#backedUp && start <= windowBytes && !this.#queues.has(channel)) return false;
    this.#queues.push(channel, this.#out.takeBack(start), channelId);
    this.#mayQueue = true;
    return true;
  }

  /** Writes the queues, one share of each channel in turn, until the socket is backed up. */
  #drain(): void {
    if (this.#socket.destroyed) return;
    let reads = !this.#backedUp;
    while (reads && this.#queues.isReady()) {
      while (this.#queues.isReady() && this.#out.pendingBytes < windowBytes) this.#queues.take(this.#put);
      reads = this.#write();
    }
    this.#mayQueue = this.#backedUp || this.#queues.size > 0;
  }

  readonly #put = (item: Buffer | Lost): void => {
    if (Buffer.isBuffer(item)) {
      this.#out.append(item);
      this.#pending += 1;
    } else if (item.channelId !== null) {
      this.#out.lost(item.channelId, item.count);
    }
  };

  /** Writes the encoder. Returns false if the socket is backed up now. */
  #write(): boolean {
    this.#dueAt = Infinity;
    const frames = this.#out.take();
    if (frames.length === 0) return true;
    this.#counters.relayBytes.out += frames.length;
    this.#counters.relayFrames.out += this.#out.frames - this.#written;
    this.#written = this.#out.frames;
    const waiting = writeNow(this.#socket, frames, 'read on');
    this.#unsent = waiting === 0 ? 0 : this.#unsent + this.#pending;
    this.#pending = 0;
    if (waiting === 0) {
      this.#out.recycle(frames);
    } else if (waiting > windowBytes) {
      this.#backedUp = this.#mayQueue = true;
      if (waiting > this.#maxBytes) this.#congested = true;
      return false;
    }
    return true;
  }

  /** Ends this side after all frames. The side of the sibling is read to its end. */
  end(): void {
    if (this.ended) return;
    this.#queues.releaseAll(); // the sibling cannot release a channel after this
    this.flush(Infinity);
    this.ended = true;
    this.#finish();
  }

  /** Ends the socket when no publication is queued. */
  #finish(): void {
    if (this.ended && this.#queues.size === 0) this.#socket.end();
  }

  /** @param error undefined: this process or the sibling ends */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
