/**
 * Sockets that a process binds without accepting from them: node:net can only create servers, which accept at once. The primary
 * owns them and lends them to workers, so that clients in an accept queue survive the death of a worker. If that is not
 * supported, each worker binds its own socket to the port (`OwnSocket`).
 */
import net from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { fastPathsAllowed } from './switch.ts';

/** A bound socket from which this process does not accept. A worker that receives it over IPC can listen on it. */
export interface ListeningSocket {
  getsockname(address: { port?: number }): number;
  close(): void;
}

/** Placeholder for a socket that the worker binds itself, with a documented option of node:net. */
export class OwnSocket implements ListeningSocket {
  readonly address: { host: string; port: number };

  constructor(host: string, port: number) {
    this.address = { host, port };
  }

  getsockname(address: { port?: number }): number {
    address.port = this.address.port;
    return 0;
  }

  close(): void {
    // The worker closes it.
  }
}

/** Creates the handles of servers in node:net and node:cluster: returns a raw handle, or the number of an error. */
type CreateServerHandle = (
  address: string | null,
  port: number | null,
  family: number | null,
  fd: number | undefined,
  flags: number,
) => ListeningSocket | number;
const { _createServerHandle: createServerHandle } = net as unknown as {
  _createServerHandle: CreateServerHandle;
};

/** uv.h */
const uvTcpReuseport = 2;

/** Whether two sockets can be bound to one port without listening, found out by a test. */
export const supported: boolean = fastPathsAllowed && selfCheck();

/**
 * Binds a socket.
 * @param shared allows other sockets of this user on the port (SO_REUSEPORT)
 * @returns the socket, or the code of the error
 */
export function bindSocket(
  host: string,
  family: number,
  port: number,
  shared: boolean,
): ListeningSocket | string {
  const socket = createServerHandle(host, port, family, undefined, shared ? uvTcpReuseport : 0);
  if (typeof socket === 'number') return errorName(socket);
  // libuv reports a port in use only with the next call (uv_tcp_bind).
  const error = socket.getsockname({});
  if (error === 0) return socket;
  socket.close();
  return errorName(error);
}

/** Wraps a listening socket. @returns the socket, or the code of the error */
export function passedSocket(fd: number): ListeningSocket | string {
  if (!supported) return 'not supported by this version of Node; let the hub bind the port itself';
  const socket = createServerHandle(null, null, null, fd, 0);
  return typeof socket === 'number' ? errorName(socket) : socket;
}

function errorName(error: number): string {
  return getSystemErrorMap().get(error)?.[0] ?? `error ${error}`;
}

function selfCheck(): boolean {
  const sockets: ListeningSocket[] = [];
  try {
    const address: { port?: number } = {};
    for (let count = 0; count < 2; count += 1) {
      const socket = bindSocket('127.0.0.1', 4, address.port ?? 0, true);
      if (typeof socket === 'string') return false;
      sockets.push(socket);
      socket.getsockname(address);
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const socket of sockets) socket.close();
  }
}
