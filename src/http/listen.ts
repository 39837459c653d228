/** Makes a server listen, and says in one line what the operator can do where it cannot. */
import type { Server } from 'node:http';
import { OperatorError } from '../errors.ts';

/** Connections that may wait to be accepted; the kernel bounds it by net.core.somaxconn. */
const backlog = 4096;

/**
 * @param setting the variable that names the port
 * @throws {OperatorError} as a rejection: the port is in use, or the address is not this machine's
 */
export function listen(server: Server, host: string, port: number, setting: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new OperatorError(`${setting} ${port} on ${host}: ${faults[error.code ?? ''] ?? error.message}`, {
          cause: error,
        }),
      );
    });
    server.listen({ host, port, backlog }, resolve);
  });
}

/**
 * Listens on a socket that a service manager has opened and passed on.
 * @throws {OperatorError} as a rejection
 */
export function listenOn(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new OperatorError(`the passed socket cannot be listened on: ${cause.message}`, { cause }));
    });
    server.listen({ fd }, resolve);
  });
}

const faults: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use by another process',
  EACCES: 'there is no permission to use this port',
  EADDRNOTAVAIL: 'the address is not one of this machine',
  EAI_AGAIN: 'the name cannot be resolved',
  ENOTFOUND: 'the address is not one of this machine',
};
