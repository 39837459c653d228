/**
 * The runtime directory: the workers' link sockets, the generated admin token, and a lock socket that keeps a
 * second hub out. Only its owner may enter it, because a process that reaches a link socket can publish. In a directory that
 * other users may write to (a Kubernetes emptyDir, a volume of another user) the hub creates its own.
 */
import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { OperatorError, messageOf } from '../platform/errors.ts';
import { exclusively } from './start-lock.ts';

/** Unix socket paths have at most 107 bytes (sockaddr_un, unix(7)); the longest name in the directory has 16. */
const maxPathBytes = 107 - 17;

/** Name prefix of directories that are created for one start. */
export const temporaryPrefix = 'wshub-';

/**
 * Returns the directory to use for the one in the settings: the same, or one inside it if other users may write to it.
 * Creates nothing.
 * @throws {OperatorError} neither can be used
 */
export function runtimePath(given: string): string {
  const refuse = (why: string, cause?: unknown) => new OperatorError(`runtime directory ${why}`, { cause });
  const found = factsOf(given);
  if (!found) {
    const parent = existingParent(given);
    if (!factsOf(parent)?.isDirectory()) throw refuse(`${given}: ${parent} is not a directory`);
    if (!isWritable(parent)) throw refuse(`${given} cannot be created: ${parent} is not writable`);
    return checkedLength(given);
  }
  if (!found.isDirectory()) throw new OperatorError(`runtime directory: ${given} is a file`);
  const ours = found.uid === process.getuid?.();
  if (ours && (found.mode & 0o022) === 0) {
    if ((found.mode & 0o077) !== 0)
      throw refuse(`${given} is accessible to other users; fix: chmod 700 ${given}`);
    return checkedLength(given);
  }
  const inner = join(given, `wshub-${process.getuid?.() ?? 0}`);
  const own = factsOf(inner, lstatSync);
  if (!own && !isWritable(given)) {
    throw refuse(
      `${given} belongs to another user and is not writable; fix: chown ${process.getuid?.() ?? 0} ${given}`,
    );
  }
  if (own && (!own.isDirectory() || own.uid !== process.getuid?.() || (own.mode & 0o077) !== 0)) {
    throw refuse(`${inner} is not a private directory of this user; fix: rm -r ${inner}`);
  }
  return checkedLength(inner);
}

/** Returns the directory that a hub uses for the one in the settings; the same if none can be used. */
export function usedDirectory(given: string): string {
  try {
    return runtimePath(given);
  } catch {
    return given;
  }
}

/**
 * Returns the status of a path; undefined: nothing is there.
 * @throws {OperatorError} the status cannot be read
 */
function factsOf(path: string, look = statSync) {
  try {
    return look(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw new OperatorError(`runtime directory: ${messageOf(cause)}`, { cause });
  }
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || factsOf(parent) ? parent : existingParent(parent);
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function checkedLength(path: string): string {
  if (Buffer.byteLength(path) <= maxPathBytes) return path;
  throw new OperatorError(`runtime directory ${path} is longer than ${maxPathBytes} bytes`);
}

/** Checks the temp folder, for a start without a set directory. @throws {OperatorError} it is not writable */
export function checkTemporaryFolder(): void {
  const folder = tmpdir();
  if (!isWritable(folder)) {
    throw new OperatorError(`runtime directory: ${folder} is not writable; set WSHUB_RUNTIME_DIR`);
  }
}

export class RuntimeDir {
  readonly path: string;
  /** created for this start, and removed at its end */
  readonly temporary: boolean;
  readonly #given: string | undefined;
  #lock: Server | undefined;

  /**
   * @param given the directory in the settings; undefined creates one in the temp folder
   * @throws {OperatorError} it cannot be created, or other users may enter it
   */
  constructor(given: string | undefined) {
    this.#given = given;
    this.temporary = given === undefined;
    if (given === undefined) {
      checkTemporaryFolder();
      try {
        this.path = mkdtempSync(join(tmpdir(), temporaryPrefix)); // of mode 0700
      } catch (cause) {
        throw new OperatorError(`runtime directory: ${messageOf(cause)}`, { cause });
      }
      checkedLength(this.path);
    } else {
      this.path = runtimePath(given);
      this.#make();
    }
  }

  /** The directory in the settings, if one inside it is used; null otherwise. */
  get shared(): string | null {
    return this.#given === undefined || this.#given === this.path ? null : this.#given;
  }

  /**
   * Creates the directory again if it was removed, for example by a cleaner of the temp folder.
   * @returns whether it was removed; the caller must then lock it again
   * @throws {OperatorError} it cannot be created
   */
  restore(): boolean {
    const found = factsOf(this.path);
    if (!found) this.#make();
    else if (found.uid !== process.getuid?.()) throw this.#taken();
    return !found;
  }

  #taken(): OperatorError {
    return new OperatorError(`runtime directory ${this.path} was created by another user`);
  }

  #make(): void {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new OperatorError(`runtime directory: ${messageOf(cause)}`, { cause });
    }
    if (factsOf(this.path)?.uid !== process.getuid?.()) throw this.#taken(); // created by another user just now
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Keeps other hubs out while this process lives, and removes the sockets of a dead hub. */
  async lock(): Promise<void> {
    const { dev, ino } = statSync(this.path);
    await exclusively(`dir-${dev}-${ino}`, async () => {
      const path = this.file('primary.sock');
      if (await answers(path)) {
        throw new OperatorError(`runtime directory ${this.path} is in use by another hub`);
      }
      try {
        rmSync(path, { force: true });
        for (const name of this.#lock ? [] : readdirSync(this.path)) {
          if (/^(w\d+|broker)\.sock$/.test(name)) rmSync(this.file(name), { force: true });
        }
      } catch (cause) {
        throw new OperatorError(`runtime directory: ${messageOf(cause)}`, { cause });
      }
      this.#lock?.close();
      this.#lock = await this.#lockOn(path);
    });
  }

  async #lockOn(path: string): Promise<Server> {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new OperatorError(`runtime directory ${this.path}: ${cause.message}`, { cause }));
      });
      server.listen(path, resolve);
    });
    server.unref();
    return server;
  }

  /** Removes everything that this start has created. */
  remove(files: readonly string[]): void {
    this.#lock?.close();
    if (this.temporary) rmSync(this.path, { recursive: true, force: true });
    else for (const file of files) rmSync(file, { force: true });
  }
}

/** Whether a process listens on the socket: a dead hub leaves the file behind. */
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
