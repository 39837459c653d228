/**
 * Errors that nobody has caught in the primary. Its end would cost every client of the hub its connection, and it holds
 * little state: workers, their sockets, counters. So it logs them at `fatal`, counts them and serves on; they are bugs
 * to report. Before the hub is ready they still end the process.
 */
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';

/** A log line of each kind at most this often: an error in writing the log must not feed itself. */
const logIntervalMs = 1_000;

export function surviveErrors(lifecycle: SupervisorStats, log: Log): void {
  const survive = (reason: 'uncaught_exception' | 'unhandled_rejection', what: string) => {
    let loggedAt = -Infinity;
    return (error: unknown) => {
      lifecycle.errors[reason] += 1;
      const now = performance.now();
      if (now - loggedAt < logIntervalMs) return;
      loggedAt = now;
      log.fatal({ err: error }, what);
    };
  };
  process.on('uncaughtException', survive('uncaught_exception', 'uncaught exception; the hub serves on'));
  process.on('unhandledRejection', survive('unhandled_rejection', 'unhandled rejection; the hub serves on'));
}
