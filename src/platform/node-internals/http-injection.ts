/**
 * What it takes to hand an accepted socket to an HTTP server that never listens, beyond the documented event
 * `connection`: the server's timers start only with the event `listening`, and a stream that somebody has read from
 * waits for its next reader only in the state in which node:http leaves an upgraded socket. It allows the worker to
 * read a handshake itself, which saves 7.5 % of the CPU of the bench's churn (on a busy machine).
 */
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { duplexPair, PassThrough, type Readable } from 'node:stream';
import { fastPathsAllowed } from './switch.ts';

/** After this time without an answer the check fails. */
const checkTimeoutMs = 1_000;

/** false: sockets go to the HTTP server unread, and it listens on a path of its own. Decided by `checkHttpInjection`. */
export let supported = fastPathsAllowed;

/**
 * Makes the server watch the timeouts of the sockets that it is given.
 * @param path of a Unix socket, where the server has to listen for that; nobody can connect to it
 */
export function startTimers(server: Server, path: string): void {
  if (supported) server.emit('listening');
  else
    server.listen({ path, exclusive: true }, () => {
      rmSync(path, { force: true });
    });
}

/** What comes waits in the stream until somebody listens, whoever has listened before. */
export function awaitReader(stream: Readable): void {
  Object.assign(stream, { readableFlowing: null });
}

/** Finds out by two streams in memory whether Node behaves as this file needs it. */
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

/** A client that makes no request has to be timed out. */
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
  server.close(); // ends its timers
  return timedOut;
}
