/**
 * Uncaught errors of the primary. They are bugs to report, logged at `fatal` and counted, but do not end the process: its exit
 * would disconnect every client, and it holds little state (workers, their sockets, counters). Before the hub is ready they
 * do end it.
 */
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';

/** Minimum interval between log lines of one kind: an error while logging must not cause endless lines. */
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
  process.on('uncaughtException', survive('uncaught_exception', 'uncaught exception; the hub keeps serving'));
  process.on(
    'unhandledRejection',
    survive('unhandled_rejection', 'unhandled rejection; the hub keeps serving'),
  );
}
