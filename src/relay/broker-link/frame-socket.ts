/**
 * A Unix socket that carries frames, used by both sides: collects outgoing frames and decodes incoming ones. Never
 * reconnects.
 */
import type { Socket } from 'node:net';
import { readDirect, writeNow } from '../../platform/node-internals/raw-socket.ts';
import { FrameError } from '../mesh/frame-decoder.ts';
import { FrameReader, type TakeFrame } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';

export interface FrameSocketOwner {
  /**
   * Called with each frame.
   * @throws {FrameError} the frame is not valid; the socket is destroyed
   */
  frame: TakeFrame;
  /** The socket has drained. */
  drained: () => void;
  /**
   * The last call.
   * @param error undefined: the stream ended without an error
   */
  closed: (error: Error | undefined) => void;
}

export class FrameSocket {
  /** outgoing frames; `flush` writes them */
  readonly out = new FrameWriter();
  readonly #socket: Socket;
  #error: Error | undefined;

  constructor(socket: Socket, owner: FrameSocketOwner) {
    this.#socket = socket;
    const reader = new FrameReader(owner.frame);
    readDirect(socket, (bytes, length) => {
      if (socket.destroyed) return;
      try {
        const chunk = Buffer.allocUnsafe(length); // messages are views of it
        bytes.copy(chunk, 0, 0, length);
        reader.push(chunk);
      } catch (error) {
        this.destroy(error as Error);
        if (!(error instanceof FrameError)) throw error;
      }
    });
    socket.on('drain', owner.drained);
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('close', () => {
      owner.closed(this.#error);
    });
  }

  /** Number of bytes that are buffered for the other side. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.out.pendingBytes;
  }

  /** Writes the collected frames. */
  flush(): void {
    if (this.out.pendingBytes === 0 || this.#socket.destroyed) return;
    const frames = this.out.take();
    if (writeNow(this.#socket, frames, 'read on') === 0) this.out.recycle(frames);
  }

  /** @param error undefined: this process ends */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
