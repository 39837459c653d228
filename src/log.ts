/**
 * The log: one JSON line per event on standard output, with time, level, pid and the worker (or `primary`) that
 * speaks. Lines about a connection carry `connectionId`. Secrets are never given to it.
 */
import { pino, type Logger } from 'pino';

export type Log = Logger;

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** @param worker the worker's id, or `primary` */
export function createLog(level: LogLevel, worker: string): Log {
  return pino({
    level,
    base: { pid: process.pid, worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
