/** Logs the number of connections once a minute, instead of a line for each that opens or closes. */
import type { Log } from '../platform/log.ts';

const intervalMs = 60_000;

/** Logs only if the number has changed. @param count returns the connections of all workers */
export function logTotals(count: () => number, log: Pick<Log, 'info'>): void {
  let logged = 0;
  setInterval(() => {
    const connections = count();
    if (connections !== logged) log.info({ connections }, 'active connections');
    logged = connections;
  }, intervalMs).unref();
}
