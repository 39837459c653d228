/**
 * Keeps a second broker out of a state directory by an abstract Unix socket (unix(7)). The socket ends with its
 * process and leaves no file. It belongs to the network namespace: hubs in two containers must not share a volume as
 * state directory.
 */
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { OperatorError } from '../platform/errors.ts';

const retryMs = 50;
/** longest wait for the lock: a killed broker releases it within milliseconds */
const maxWaitMs = 3_000;

/**
 * Resolves when this process has the lock, which it keeps until it ends.
 * @throws {OperatorError} another hub uses the directory
 */
export async function lockStateDir(folder: string): Promise<void> {
  const { dev, ino } = statSync(folder);
  const deadline = performance.now() + maxWaitMs;
  while (!(await hold(`\0wshub-state-${dev}-${ino}`))) {
    if (performance.now() > deadline)
      throw new OperatorError(`state directory ${folder} is in use by another hub`);
    await sleep(retryMs);
  }
}

/** Returns false if another process has the lock. Returns true if the system has no abstract sockets. */
function hold(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== 'EADDRINUSE');
    });
    server.listen(name, () => {
      server.unref();
      resolve(true);
    });
  });
}
