/**
 * A socket without the bookkeeping of Node's streams, where there is nothing to keep: what comes is handed to the
 * listener at once, and what is written goes to the kernel at once. Whatever must wait, waits in the stream as ever,
 * and all that comes behind it goes the same way, so the order stays. Whoever watches `fs.writeSync` sees these writes
 * too, and the socket's `bytesWritten` leaves them out. In the bench's pairs it saves 7 % of the CPU, and 4 % of that is
 * the one buffer that all sockets read into.
 */
import { writeSync } from 'node:fs';
import { createServer, Socket, type AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { fastPathsAllowed } from './switch.ts';

/** The part of a socket that Node does not document; where it is missing, the stream does it all. */
interface WithHandle {
  /** null once the descriptor is closed; its number may then be another socket's */
  readonly _handle?: { readonly fd?: number; useUserBuffer?: (buffer: Buffer) => void } | null;
}

/** Takes the first `length` of these bytes. */
export type Sink = (this: Socket, bytes: Buffer, length: number) => void;

const sink = Symbol('taker');
type Taking = Socket & { [sink]: Sink };

/** Takes what was read as node:net's option `onread` does; false: nothing more is to be read for now. */
type OnRead = (this: Socket, length: number, buffer: Buffer) => boolean;

/** What one read brings at most, in bytes. */
export const readBytes = 64 * 1024;

/** Every socket reads into it; otherwise Node makes a buffer of 64 KiB for each read, and of what came one more. */
const readBuffer = Buffer.allocUnsafeSlow(readBytes);

/** Under which names Node keeps `onread` in a socket; it takes the option only from who makes the socket. */
const names = (() => {
  const made = new Socket({ onread: { buffer: readBuffer, callback: onRead } });
  const nameOf = (value: unknown) =>
    Object.getOwnPropertySymbols(made).find((name) => made[name as keyof Socket] === value);
  const [buffer, callback] = [nameOf(readBuffer), nameOf(onRead)];
  made.destroy();
  return buffer && callback ? { buffer, callback } : null;
})();

/** false: streams read and write everything. Decided by `checkRawSocket`; sockets from before keep their way. */
export let supported = fastPathsAllowed && names !== null;

/** After this time without an answer the check fails. */
const checkTimeoutMs = 1_000;

/** Finds out by a connection of this process to itself whether Node behaves as this file needs it. */
export async function checkRawSocket(): Promise<boolean> {
  supported &&= await bytesPass().catch(() => false);
  return supported;
}

/** Whether bytes come through that were written past one stream and read past the other. */
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
 * From now on what comes is handed over without a detour through the stream's queue, as the first `length` bytes of a
 * buffer that all sockets share: what is kept of it has to be copied.
 */
export function readDirect(socket: Socket, take: Sink): void {
  const isFirst = !(sink in socket);
  Object.assign(socket, { [sink]: take });
  socket.on('data', onData);
  const { _handle: handle } = socket as WithHandle;
  if (!supported || !names || !handle?.useUserBuffer) return;
  if (isFirst) handle.useUserBuffer(readBuffer);
  Object.assign(socket, { [names.buffer]: readBuffer, [names.callback]: onRead satisfies OnRead });
}

/** Undoes that: what comes goes through the stream again. */
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

/** What waited in the stream, or was never to go past it. */
function onData(this: Socket, chunk: Buffer): void {
  (this as Taking)[sink](chunk, chunk.length);
}

/**
 * As `socket.write`. Where the kernel refuses, the stream tries again and reports what it meets then.
 * @param broken what becomes of a socket whose peer has closed it: the stream destroys it with what has not been read,
 * or it is read to its end and the bytes are discarded
 * @returns bytes that wait in the stream
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

/** @returns how many bytes the kernel took */
function tryWrite(socket: WithHandle, bytes: Buffer, broken: 'destroy' | 'read on'): number {
  const fd = socket._handle?.fd ?? -1;
  if (fd < 0) return 0;
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (broken === 'read on' && (code === 'EPIPE' || code === 'ECONNRESET')) return bytes.length;
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
