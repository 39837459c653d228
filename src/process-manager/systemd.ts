/**
 * Notifies systemd (sd_notify(3)) with the program `systemd-notify`, because Node has no datagram Unix sockets. Needs
 * `NotifyAccess=all` in the unit: the notifier is a child of the hub.
 */
import { spawn } from 'node:child_process';
import type { Log } from '../platform/log.ts';
import type { ServiceManager } from './manager.ts';

const notifyTimeoutMs = 5_000;

export interface SystemdFacts {
  notifySocket: string;
  /** watchdog timeout; null: none */
  watchdogUs: number | null;
}

/** Reads systemd's variables; null: this process was not started by systemd. */
export function systemdFacts(env: Readonly<NodeJS.ProcessEnv>, pid: number): SystemdFacts | null {
  const notifySocket = env['NOTIFY_SOCKET'];
  if (notifySocket === undefined) return null;
  // WATCHDOG_PID is the process that is watched (sd_watchdog_enabled(3)).
  const watched = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(pid);
  const usec = Number(env['WATCHDOG_USEC'] ?? 0);
  return { notifySocket, watchdogUs: watched && usec > 0 ? usec : null };
}

/** Variables of this process only: workers and their children must not notify systemd in its name. */
export const systemdVariables = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
] as const;

export function systemd({ notifySocket, watchdogUs }: SystemdFacts, log: Log): ServiceManager {
  const notify = (...assignments: string[]) => {
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', NOTIFY_SOCKET: notifySocket };
    // With the timeout, hanging notifiers do not pile up.
    const child = spawn('systemd-notify', assignments, { env, stdio: 'ignore', timeout: notifyTimeoutMs });
    child.on('error', (error) => {
      log.error({ err: error }, 'systemd-notify cannot be run');
    });
    child.on('exit', (code) => {
      if (code !== 0) log.warn({ code, assignments }, 'systemd-notify failed');
    });
  };
  return {
    ready: (status) => {
      notify('READY=1', `STATUS=${status}`);
    },
    reloading: () => {
      notify('RELOADING=1', 'STATUS=replacing the workers');
    },
    stopping: () => {
      notify('STOPPING=1', 'STATUS=draining the workers');
    },
    alive: () => {
      notify('WATCHDOG=1');
    },
    watchdogMs: watchdogUs === null ? null : watchdogUs / 1000 / 3,
    onStop: () => undefined,
  };
}
