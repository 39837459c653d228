/**
 * systemd's notifications (sd_notify(3)), by way of the `systemd-notify` program, because Node has no datagram
 * Unix sockets. Needs `NotifyAccess=all` in the unit: the notifier is a child of the hub.
 */
import { spawn } from 'node:child_process';
import type { Log } from '../platform/log.ts';
import type { ServiceManager } from './manager.ts';

const notifyTimeoutMs = 5_000;

export interface SystemdFacts {
  notifySocket: string;
  /** within which the manager must hear from the hub; null where it does not watch */
  watchdogUs: number | null;
}

/** What systemd has said in the environment; null where this process was not started by it. */
export function systemdFacts(env: Readonly<NodeJS.ProcessEnv>, pid: number): SystemdFacts | null {
  const notifySocket = env['NOTIFY_SOCKET'];
  if (notifySocket === undefined) return null;
  // WATCHDOG_PID names whom it is meant for (sd_watchdog_enabled(3)).
  const watched = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(pid);
  const usec = Number(env['WATCHDOG_USEC'] ?? 0);
  return { notifySocket, watchdogUs: watched && usec > 0 ? usec : null };
}

/** The variables that are this process's own: workers and what users start from them must not speak for it. */
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
    // One that hangs, because nobody reads the socket, must not be joined by another at every ping.
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
      notify('RELOADING=1', 'STATUS=the workers are being replaced');
    },
    stopping: () => {
      notify('STOPPING=1', 'STATUS=the workers drain');
    },
    alive: () => {
      notify('WATCHDOG=1');
    },
    watchdogMs: watchdogUs === null ? null : watchdogUs / 1000 / 3,
    onStop: () => undefined,
  };
}
