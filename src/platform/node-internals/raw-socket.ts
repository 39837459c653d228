/**
 * Reads and writes a socket without the bookkeeping of Node's streams while nothing is queued: input is passed to the listener
 * at once, and output is written to the kernel at once. Output that the kernel does not take is queued in the stream, and all
 * later output follows it there, so the order is kept. `fs.writeSync` is used, so the socket's `bytesWritten` does not count these
 * writes. Saves 7 % of the CPU in the bench's pairs, 4 % of which by the read buffer that all sockets share.
 */
import { writeSync } from 'node:fs';
import { createServer, Socket, type AddressInfo } from 'node:net';
import { fastPathsAllowed } from './switch.ts';

/** The undocumented part of a socket; if it is missing, the stream is used. */
interface WithHandle {
  /** null: the descriptor is closed, and its number may belong to another socket */
  readonly _handle?: { readonly fd?: number; useUserBuffer?: (buffer: Buffer) => void } | null;
}

/** Receives the first `length` bytes of a buffer. */
export type Sink = (this: Socket, bytes: Buffer, length: number) => void;

const sink = Symbol('taker');
type Taking = Socket & { [sink]: Sink };

/** The callback of node:net's option `onread`; returns false to pause reading. */
type OnRead = (this: Socket, length: number, buffer: Buffer) => boolean;

/** Maximum bytes of one read. */
export const readBytes = 64 * 1024;

/** The read buffer of all sockets; otherwise Node allocates 64 KiB for each read, and a copy of the result. */
const readBuffer = Buffer.allocUnsafeSlow(readBytes);

/** Private symbols under which Node stores `onread`. The option is accepted only by the constructor; accepted sockets need it later. */
const names = (() => {
  const made = new Socket({ onread: { buffer: readBuffer, callback: onRead } });
  const nameOf = (value: unknown) =>
    Object.getOwnPropertySymbols(made).find((name) => made[name as keyof Socket] === value);
  const [buffer, callback] = [nameOf(readBuffer), nameOf(onRead)];
  made.destroy();
  return buffer && callback ? { buffer, callback } : null;
})();

/** false: streams read and write everything. Set by `checkRawSocket`; does not affect existing sockets. */
export let supported = fastPathsAllowed && names !== null;

/** Time limit of the check. */
const checkTimeoutMs = 1_000;

/** Checks with a connection of this process to itself whether Node behaves as this file expects. */
export async function checkRawSocket(): Promise<boolean> {
  supported &&= await bytesPass().catch(() => false);
  return supported;
}

/** Whether bytes arrive that bypass the streams on both sides. */
function bytesPass(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    const client = new Socket();
    const finish = (passed: boolean) => {
      clearTimeout(deadline);
      client.destroy();
      server.close();
      resolve(passed);
    };
    const deadline = setTimeout(finish, checkTimeoutMs, false);
    const bytes = Buffer.from('raw');
    const fail = () => {
      finish(false);
    };
    server.on('error', fail);
    client.on('error', fail);
    server.on('connection', (socket) => {
      socket.on('error', fail);
      readDirect(socket, (received, length) => {
        const inPlace = received.buffer === readBuffer.buffer;
        socket.destroy();
        finish(inPlace && bytes.equals(received.subarray(0, length)));
      });
    });
    server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      client.connect(port, '127.0.0.1', () => {
        if (tryWrite(client as WithHandle, bytes, 'destroy') !== bytes.length) fail();
      });
    });
  });
}

/**
 * Passes input to `take` without the stream's queue, as the first `length` bytes of a buffer that all sockets share: the
 * receiver must copy what it keeps.
 */
export function readDirect(socket: Socket, take: Sink): void {
  const isFirst = !(sink in socket);
  (socket as Taking)[sink] = take;
  socket.on('data', onData);
  const { _handle: handle } = socket as WithHandle;
  if (!supported || !names || !handle?.useUserBuffer) return;
  if (isFirst) handle.useUserBuffer(readBuffer);
  const internal = socket as unknown as Record<symbol, unknown>;
  internal[names.buffer] = readBuffer;
  internal[names.callback] = onRead satisfies OnRead;
}

/** Reverts `readDirect`: input is queued in the stream again. */
export function readBuffered(socket: Socket): void {
  socket.off('data', onData);
  if (supported && names) Object.assign(socket, { [names.callback]: queue satisfies OnRead });
}

function onRead(this: Socket, length: number, buffer: Buffer): boolean {
  if (this.readableFlowing !== true) return queue.call(this, length, buffer);
  (this as Taking)[sink](buffer, length);
  return true;
}

function queue(this: Socket, length: number, buffer: Buffer): boolean {
  return this.push(Buffer.from(buffer.subarray(0, length)));
}

/** Receives input that was queued in the stream, or all input if direct reads are not supported. */
function onData(this: Socket, chunk: Buffer): void {
  (this as Taking)[sink](chunk, chunk.length);
}

/**
 * Like `socket.write`. If the kernel refuses, the stream retries and reports errors.
 * @param broken what happens to a socket closed by its peer: `destroy`: the stream destroys it, with unread input; `read on`: it is
 * read to its end, and the bytes are discarded
 * @returns bytes queued in the stream
 */
export function writeNow(socket: Socket, bytes: Buffer, broken: 'destroy' | 'read on' = 'destroy'): number {
  const written =
    supported && socket.writableLength === 0 && socket.writable
      ? tryWrite(socket as WithHandle, bytes, broken)
      : 0;
  if (written === bytes.length) return 0;
  socket.write(written === 0 ? bytes : bytes.subarray(written));
  return socket.writableLength;
}

/** @returns the number of bytes that the kernel took */
function tryWrite(socket: WithHandle, bytes: Buffer, broken: 'destroy' | 'read on'): number {
  const fd = socket._handle?.fd ?? -1;
  if (fd < 0) return 0;
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (broken === 'read on' && (code === 'EPIPE' || code === 'ECONNRESET')) return bytes.length;
    return 0; // EAGAIN, or the peer has closed the socket
  }
}
