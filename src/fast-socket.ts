/**
 * A socket without the bookkeeping of Node's streams, where there is nothing to keep: what comes is handed to the
 * listener at once, and what is written goes to the kernel at once. Whatever must wait, waits in the stream as ever,
 * and all that comes behind it goes the same way, so the order stays. Whoever watches `fs.writeSync` sees these writes
 * too, and the socket's `bytesWritten` leaves them out.
 */
import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';

/** The part of a socket that Node does not document; where it is missing, the stream does it all. */
interface WithHandle {
  /** null once the descriptor is closed; its number may then be another socket's */
  readonly _handle?: { readonly fd?: number } | null;
}

/**
 * From now on the socket's `data` listeners are called without a detour through the stream's queue, as long as Node gives
 * what it reads to `push`, which it does not promise.
 */
export function readNow(socket: Socket): void {
  socket.push = push;
}

/** In place of Readable's, which Node calls with what was read. */
function push(this: Readable, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null || this.readableFlowing !== true) {
    return Readable.prototype.push.call(this, chunk, encoding);
  }
  this.emit('data', chunk);
  return true;
}

/**
 * As `socket.write`. Where the kernel refuses, the stream tries again and reports what it meets then.
 * @returns bytes that wait in the stream
 */
export function writeNow(socket: Socket, bytes: Buffer): number {
  const written = socket.writableLength === 0 && socket.writable ? taken(socket as WithHandle, bytes) : 0;
  if (written === bytes.length) return 0;
  socket.write(written === 0 ? bytes : bytes.subarray(written));
  return socket.writableLength;
}

/** @returns how many bytes the kernel took */
function taken(socket: WithHandle, bytes: Buffer): number {
  const fd = socket._handle?.fd ?? -1;
  if (fd < 0) return 0;
  try {
    return writeSync(fd, bytes);
  } catch {
    return 0; // EAGAIN, or that the peer is gone
  }
}

/** From now on ending the stream when it has ended does nothing; node:stream makes an error of it, with its stack. */
export function endOnce(stream: Writable): void {
  stream.end = end as Writable['end'];
}

function end(this: Writable, ...args: Parameters<Writable['end']>): Writable {
  if (this.writableFinished) return this;
  return (Object.getPrototypeOf(this) as Writable).end.apply(this, args);
}
