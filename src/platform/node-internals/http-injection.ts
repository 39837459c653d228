/**
 * Passes accepted sockets to an HTTP server that never listens. Two needs go beyond the documented event `connection`: the
 * server's timers start only with the event `listening`, and a stream with a former reader buffers for its next reader only in
 * the state in which node:http leaves an upgraded socket. With it the worker reads handshakes itself, which saves 7.5 % of the
 * CPU of the bench's churn (on a busy machine).
 */
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { duplexPair, PassThrough, type Readable } from 'node:stream';
import { fastPathsAllowed } from './switch.ts';

/** Time limit of the check. */
const checkTimeoutMs = 1_000;

/** false: sockets are passed to the HTTP server unread, and it listens on its own path. Set by `checkHttpInjection`. */
export let supported = fastPathsAllowed;

/**
 * Makes the server enforce its timeouts on injected sockets.
 * @param path of a Unix socket on which it listens if needed; the file is removed, so no client can connect
 */
export function startTimers(server: Server, path: string): void {
  if (supported) server.emit('listening');
  else
    server.listen({ path, exclusive: true }, () => {
      rmSync(path, { force: true });
    });
}

/** Makes the stream buffer its input until the next listener is added. */
export function awaitReader(stream: Readable): void {
  Object.assign(stream, { readableFlowing: null });
}

/** Checks with streams in memory whether Node behaves as this file expects. */
export async function checkHttpInjection(): Promise<boolean> {
  supported &&= readersAreAwaited() && (await timersRun());
  return supported;
}

function readersAreAwaited(): boolean {
  const stream = new PassThrough();
  const ignore = () => undefined;
  stream.on('data', ignore).off('data', ignore);
  awaitReader(stream);
  stream.write('x');
  return stream.readableFlowing === null && stream.readableLength === 1;
}

/** Whether a client that completes no request is timed out. */
async function timersRun(): Promise<boolean> {
  const server = createServer({ headersTimeout: 1, requestTimeout: 1, connectionsCheckingInterval: 1 });
  const [socket, peer] = duplexPair();
  const timedOut = await new Promise<boolean>((resolve) => {
    const deadline = setTimeout(resolve, checkTimeoutMs, false);
    server.on('clientError', () => {
      clearTimeout(deadline);
      resolve(true);
    });
    server.emit('listening');
    server.emit('connection', socket);
    peer.write('G');
  });
  socket.destroy();
  peer.destroy();
  server.close(); // stops its timers
  return timedOut;
}
