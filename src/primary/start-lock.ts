/**
 * A mutex between hubs that start on one machine at the same moment: an abstract Unix socket (unix(7)), which belongs
 * to the network namespace as TCP ports do, has no file to be left behind, and ends with its process. Held for the
 * few ms between a check ("is it in use?") and the step that makes the result visible to the next hub.
 */
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const retryMs = 10;
/** Hubs hold the mutex for a few ms. A process that holds it longer is not a hub, and must not block this one. */
const maxWaitMs = 3_000;

/**
 * Runs `step` while no other hub runs one of the same name.
 * @param name of the port or directory to take
 */
export async function exclusively<T>(name: string, step: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + maxWaitMs;
  let mutex = await hold(name);
  while (mutex === 'held' && performance.now() < deadline) {
    await sleep(retryMs);
    mutex = await hold(name);
  }
  try {
    return await step();
  } finally {
    if (typeof mutex !== 'string') mutex.close();
  }
}

/** Returns the mutex; `held`: by another process; `none`: the system has no abstract sockets. */
function hold(name: string): Promise<Server | 'held' | 'none'> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code === 'EADDRINUSE' ? 'held' : 'none');
    });
    server.listen(`\0wshub-${name}`, () => {
      resolve(server);
    });
  });
}
