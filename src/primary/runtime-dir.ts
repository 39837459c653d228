/**
 * The runtime directory: the workers' link sockets, the generated admin token, and a lock socket that keeps a
 * second hub out. Only its owner may enter it, because whoever reaches a link socket can publish.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError, reasonOf } from '../errors.ts';

/** Unix socket paths end at 107 bytes (sockaddr_un, unix(7)); the longest name in the directory is 16. */
const maxPathBytes = 107 - 17;

/** Of the directories that are made for one start. */
export const temporaryPrefix = 'wshub-';

export class RuntimeDir {
  readonly path: string;
  /** made for this start, to be removed with it */
  readonly temporary: boolean;
  #lock: Server | undefined;

  /**
   * @param given the operator's directory; undefined makes a fresh one in the temp folder
   * @throws {OperatorError} it cannot be made, or others may enter it
   */
  constructor(given: string | undefined) {
    this.temporary = given === undefined;
    try {
      this.path = given ?? mkdtempSync(join(tmpdir(), temporaryPrefix));
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      if (this.temporary) chmodSync(this.path, 0o700);
    } catch (cause) {
      const isFile = (cause as NodeJS.ErrnoException).code === 'EEXIST';
      const why = isFile ? `${given ?? ''} is a file` : reasonOf(cause);
      throw new OperatorError(`runtime directory: ${why}`, { cause });
    }
    const { uid, mode } = statSync(this.path);
    if (uid !== process.getuid?.()) {
      throw new OperatorError(`runtime directory ${this.path} belongs to another user`);
    }
    if ((mode & 0o077) !== 0) {
      throw new OperatorError(`runtime directory ${this.path} is open to others: chmod 700 ${this.path}`);
    }
    if (Buffer.byteLength(this.path) > maxPathBytes) {
      throw new OperatorError(`runtime directory ${this.path} is longer than ${maxPathBytes} bytes`);
    }
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Keeps other hubs out for as long as this process lives. */
  async lock(): Promise<void> {
    const path = this.file('primary.sock');
    if (await answers(path)) {
      throw new OperatorError(`runtime directory ${this.path} is in use by another hub`);
    }
    rmSync(path, { force: true });
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new OperatorError(`runtime directory ${this.path}: ${cause.message}`, { cause }));
      });
      server.listen(path, resolve);
    });
    server.unref();
    this.#lock = server;
  }

  /** Removes what this start has made. */
  remove(files: readonly string[]): void {
    this.#lock?.close();
    if (this.temporary) rmSync(this.path, { recursive: true, force: true });
    else for (const file of files) rmSync(file, { force: true });
  }
}

/** Somebody listens on the socket: it was not left behind by a hub that died. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}
