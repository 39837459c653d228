/**
 * Listening sockets that a process binds and does not accept from: node:net can only make servers, which accept at once.
 * The primary holds them and lends them to workers, so that clients that wait to be accepted survive a worker. Where
 * that is not supported each worker binds a socket of its own to the port (`OwnSocket`).
 */
import net from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { fastPathsAllowed } from './switch.ts';

/** A bound socket that nobody accepts from in this process. A worker that gets it over IPC can listen on it. */
export interface ListeningSocket {
  getsockname(address: { port?: number }): number;
  close(): void;
}

/** Stands for a socket that the worker binds itself, by a documented option of node:net. */
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

/** What node:net makes its own servers from, and node:cluster its workers': a raw handle, or the number of an error. */
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

/** Whether two sockets can be bound to one port and held, found out by doing it. */
export const supported: boolean = fastPathsAllowed && selfCheck();

/**
 * Binds a socket.
 * @param shared others of this user may be bound to the port too (SO_REUSEPORT)
 * @returns the code of the error where the port cannot be had
 */
export function bindSocket(
  host: string,
  family: number,
  port: number,
  shared: boolean,
): ListeningSocket | string {
  const socket = createServerHandle(host, port, family, undefined, shared ? uvTcpReuseport : 0);
  if (typeof socket === 'number') return errorName(socket);
  // libuv tells of a port in use only when it is next asked something (uv_tcp_bind).
  const error = socket.getsockname({});
  if (error === 0) return socket;
  socket.close();
  return errorName(error);
}

/** A socket that listens already. @returns the code of the error where that is none */
export function passedSocket(fd: number): ListeningSocket | string {
  if (!supported) return 'this version of Node cannot take it; let the hub bind the port itself';
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
