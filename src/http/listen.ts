/** Makes a server listen; errors say in one line what the operator can do. */
import type { Server } from 'node:http';
import { OperatorError } from '../platform/errors.ts';

/** Length of the accept queue; the kernel limits it to net.core.somaxconn. */
export const backlog = 4096;

/**
 * @param setting the variable that names the port
 * @throws {OperatorError} as a rejection: the port is in use, or the address is not this machine's
 */
export function listen(server: Server, host: string, port: number, setting: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const fault = listenFault(setting, host, port, error.code ?? error.message);
      reject(new OperatorError(fault, { cause: error }));
    });
    server.listen({ host, port, backlog }, resolve);
  });
}

/**
 * Returns why listening failed, as a sentence.
 * @param code the system's error code, or another description
 */
export function listenFault(setting: string, host: string, port: number, code: string): string {
  return `${setting} ${port} on ${host}: ${faults[code] ?? code}`;
}

const faults: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use by another process',
  EACCES: 'there is no permission to use this port',
  EADDRNOTAVAIL: 'the address is not one of this machine',
  EAI_AGAIN: 'the name cannot be resolved',
  ENOTFOUND: 'the address is not one of this machine',
};
