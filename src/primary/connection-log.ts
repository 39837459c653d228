/** The number of connections in the log: opening and closing them is not worth a line each. */
import type { Log } from '../platform/log.ts';

const intervalMs = 60_000;

/** One line a minute, if the number is not the one that was logged last. @param count connections of all workers */
export function logTotals(count: () => number, log: Pick<Log, 'info'>): void {
  let logged = 0;
  setInterval(() => {
    const connections = count();
    if (connections !== logged) log.info({ connections }, 'active connections');
    logged = connections;
  }, intervalMs).unref();
}
