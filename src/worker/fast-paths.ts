/** Checks at the start which parts that depend on undocumented behaviour work, and logs those that do not. */
import type { Log } from '../platform/log.ts';
import { checkHttpInjection } from '../platform/node-internals/http-injection.ts';
import { supported as listeningSocketSupported } from '../platform/node-internals/listening-socket.ts';
import { checkRawSocket } from '../platform/node-internals/raw-socket.ts';
import type { FastPaths } from '../metrics/worker-metrics.ts';

/** The cost of each part being off; CPU percentages as measured by the bench. */
const costs: Readonly<Record<keyof FastPaths, string>> = {
  raw_socket: 'reads and writes pass through the streams of Node: about 7 % more CPU per message',
  listening_socket:
    'each worker binds the port itself: clients in the accept queue of a worker that ends are reset, and new clients are not evened out',
  http_injection: 'node:http reads every handshake: about 7 % more CPU per connect',
};

export async function checkFastPaths(log: Pick<Log, 'warn'>): Promise<FastPaths> {
  const [raw, injection] = await Promise.all([checkRawSocket(), checkHttpInjection()]);
  const paths: FastPaths = {
    raw_socket: raw,
    listening_socket: listeningSocketSupported,
    http_injection: injection,
  };
  for (const part of Object.keys(paths) as (keyof FastPaths)[]) {
    if (!paths[part]) log.warn({ part, cost: costs[part] }, 'fast path off');
  }
  return paths;
}
