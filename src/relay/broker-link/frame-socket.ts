/** A Unix socket that carries frames, at either end: collects what is sent, decodes what comes. Never reconnects. */
import type { Socket } from 'node:net';
import { readDirect, writeNow } from '../../platform/node-internals/raw-socket.ts';
import { FrameError } from '../mesh/frame-decoder.ts';
import { FrameReader, type TakeFrame } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';

export interface FrameSocketOwner {
  /** A frame has come. @throws {FrameError} it is not valid; the socket is destroyed */
  frame: TakeFrame;
  /** Everything that waited in the socket has been taken. */
  drained: () => void;
  /** Last call of all. `error` is why, where it did not just end. */
  closed: (error: Error | undefined) => void;
}

export class FrameSocket {
  /** leaves with `flush` */
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

  /** Bytes that the other side has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.out.pendingBytes;
  }

  /** Writes what was collected. */
  flush(): void {
    if (this.out.pendingBytes === 0 || this.#socket.destroyed) return;
    const frames = this.out.take();
    if (writeNow(this.#socket, frames, 'read on') === 0) this.out.recycle(frames);
  }

  /** @param error why, if it is not the end of the process */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
