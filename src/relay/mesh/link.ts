/**
 * One stream to one sibling: what is sent is collected and leaves in one write per turn, what comes is decoded.
 * A link is opened by the exchange of hellos and never heals: when it closes the mesh makes a new one. Each side is
 * ended by its worker, behind the last frame, and read to that end by the sibling. It promises
 * the order of each channel, and that it buffers no more than its bound.
 *
 * While the sibling keeps up, all frames go through one encoder, in the order in which they were made. Once more waits
 * in the socket than a window, publications wait in a queue per channel (channel-queues.ts), and the other frames pass
 * them. That breaks no promise:
 * - Interest, syncs and acks stay in their own order. They speak of what one side listens to, its publications of what
 *   the other side listens to; neither has to come before the other. A publication that an ack has passed reaches
 *   the newcomer for whom the ack was given: it may get a little more than it has to, and never less.
 * - A publication is addressed by a number of the receiver that is never used again. If the interest is withdrawn
 *   meanwhile, the receiver ignores it.
 * - Commands, and the words about them (`leaving`, `quiet`), promise no order beside publications.
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
import { linkMaxBytes, maxDeferMs, windowBytes } from './tuning.ts';

/** The frames of a link and the events of its life. */
export interface LinkOwner extends FrameReceiver<Link> {
  /** The sibling reads again after the bound was reached; interest announced meanwhile is not known to it. */
  recovered(link: Link): void;
  /** The sibling has ended its side, and all that it had written has been read. */
  finished(link: Link): void;
  /** More of a channel waits here than should, or no longer; see ChannelQueuesOwner. */
  congested(channel: string, isCongested: boolean): void;
  /** Last call of all. `error` is why, where it did not just end. */
  closed(link: Link, error: Error | undefined): void;
}

/** A channel that the sibling has announced; routes.ts fits. */
export interface LinkRoute {
  readonly name: string;
  /** the sibling's number of the channel */
  readonly channelId: number;
  /** until then the next publication may wait for more; milliseconds of the monotonic clock */
  readonly dueAt: number;
}

/** A sibling that the primary has named, and the link to it. */
export interface Peer {
  readonly workerId: string;
  /** the Unix socket on which it listens for links */
  readonly path: string;
  /** null while there is none; then `met` says whether publications may be missed */
  link: Link | null;
  /** it has been linked before */
  everLinked: boolean;
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
  #dueAt = Infinity;
  /** more than a window waits in the socket, and it has not drained since */
  #backedUp = false;
  /** the bound was reached by other frames than publications, and the socket has not drained since */
  #congested = false;
  /** publications that wait until the socket has drained, or the sibling takes their channel again */
  readonly #queues: ChannelQueues;
  /** A publication may have to go into a queue; otherwise the encoder is all that it has to look at. */
  #mayQueue = false;
  /** something has come since the mesh last looked */
  heard = true;
  /** for how many ticks of the mesh nothing has come */
  silentTicks = 0;
  /** the echo that is waited for; 0: none. Until it has come, the sibling may listen to more than is known here. */
  awaitedEcho = 0;
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
      counters.dropped.relay_down += this.#queues.clear();
      owner.closed(this, this.#error);
    });
  }

  /** Where interest, commands and answers are written to; they leave with this turn. */
  get out(): FrameEncoder {
    this.#dueAt = 0;
    return this.#out;
  }

  /** Where that is written to which may wait a little for something to go along with. */
  get deferred(): FrameEncoder {
    this.#dueAt = Math.min(this.#dueAt, performance.now() + maxDeferMs);
    return this.#out;
  }

  /** False: so much waits that nothing can be added. Interest announced meanwhile is sent anew when it recovers. */
  get writable(): boolean {
    return !this.#congested;
  }

  /** Bytes that the sibling has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#out.pendingBytes + this.#queues.bytes;
  }

  /** The largest number of publications that the sibling can have missed if the link is destroyed now. */
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

  /** Publishes to a sibling that may listen to the channel without its being known here; see `publish`. */
  publishNamed(channel: string, publication: Publication, handedAt: number): void {
    const before = this.#out.pendingBytes;
    this.#out.named(channel, publication, handedAt);
    if ((this.#mayQueue || before > windowBytes) && this.#queue(channel, null, before)) return;
    this.#pending += 1;
    this.#dueAt = 0;
  }

  /** The sibling takes no more of the channel, or takes it again. What is published meanwhile waits here. */
  hold(channel: string, isHeld: boolean): void {
    if (isHeld) {
      this.#queues.hold(channel);
      this.#mayQueue = true;
    } else {
      this.#queues.release(channel);
      this.#drain();
    }
  }

  /** The sibling begins anew: it holds no channel. */
  releaseAll(): void {
    this.#queues.releaseAll();
    this.#drain();
  }

  /**
   * Writes what was collected, unless it may wait.
   * @param now milliseconds of the monotonic clock; Infinity writes in any case
   * @returns milliseconds for which it waits; Infinity if nothing does
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

  /** Moves the last frame from the encoder to the queue of its channel, if it must wait there. */
  #queue(channel: string, channelId: number | null, start: number): boolean {
    if (!this.#backedUp && start <= windowBytes && !this.#queues.has(channel)) return false;
    this.#queues.push(channel, this.#out.takeBack(start), channelId);
    this.#mayQueue = true;
    return true;
  }

  /** Writes what waits in the queues, one share of each channel after the other, for as long as the sibling reads. */
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

  /** Returns false if the link is backed up now. */
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

  /** Ends this side behind all that was sent; the sibling's side is read to its own end. */
  end(): void {
    if (this.ended) return;
    this.#queues.releaseAll(); // the sibling can no longer say that it takes a channel again
    this.flush(Infinity);
    this.ended = true;
    this.#finish();
  }

  /** Ends the socket, once nothing waits for it. */
  #finish(): void {
    if (this.ended && this.#queues.size === 0) this.#socket.end();
  }

  /** @param error why, if it is not the end of the process or of the sibling */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
