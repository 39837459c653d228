/**
 * The log: one JSON line per event on standard output, or a readable one on a terminal, with time, level, pid and the worker (or `primary`) that
 * speaks. Lines about a connection carry `connectionId`. Secrets are never given to it. A log that cannot be written
 * never holds up the process: see platform/log-output.ts.
 */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { messageOf } from './errors.ts';
import { formatOf, prettyLine, type LogFormat } from './log-format.ts';
import { boundedLine, LogLimit } from './log-limit.ts';
import { LogOutput } from './log-output.ts';

export type Log = Logger;

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const warnLevel = 40;
/** How often the log tells how many lines were suppressed. */
const suppressedIntervalMs = 10_000;

/** @param worker the worker's id, or `primary` */
export function createLog(level: LogLevel, worker: string, format: LogFormat): Log {
  const isPretty = formatOf(format) === 'pretty';
  const isColoured = isatty(1) && !process.env['NO_COLOR'];
  const limit = new LogLimit();
  const options: LoggerOptions = {
    level,
    base: { pid: process.pid, worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: errorFields },
    hooks: {
      streamWrite: (line: string) => {
        const bounded = boundedLine(line);
        return isPretty ? prettyLine(bounded, isColoured) : oneLine(bounded);
      },
      logMethod(args, method, level) {
        const [fields, msg] = args as unknown[];
        const isLimited = level >= warnLevel;
        if (!isLimited || limit.admit(fields, String(msg ?? fields), level, performance.now()))
          method.apply(this, args);
      },
    },
  };
  const output = new LogOutput(1, (lines) => {
    log.warn({ lines }, 'log lines were dropped: standard output was full or could not be written');
  });
  const log: Log = pino(options, isJournal(process.env['JOURNAL_STREAM'], 1) ? journal(output) : output);
  setInterval(() => {
    for (const { msg, fields, level, lines } of limit.takeSuppressed(performance.now())) {
      log[level >= 50 ? 'error' : 'warn']({ ...fields, suppressed: lines }, `more lines: ${msg}`);
    }
  }, suppressedIntervalMs).unref();
  return log;
}

/**
 * An error as it is logged. pino's own serializer throws for errors that are frozen, that throw when they are read, or
 * that hold themselves, and handlers may throw anything.
 */
export function errorFields(error: unknown): unknown {
  try {
    return pino.stdSerializers.err(error as Error);
  } catch {
    return { type: 'Error', message: messageOf(error), stack: stackOf(error) };
  }
}

function stackOf(error: unknown): string {
  try {
    const { stack } = error as Error;
    return typeof stack === 'string' ? stack : '';
  } catch {
    return '';
  }
}

/** Escapes what JSON leaves as it is and some readers take for the end of a line (Unicode standard, section 5.8). */
export function oneLine(line: string): string {
  return line.replace(
    /[\u0085\u2028\u2029]/g,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The descriptor leads to systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`). */
function isJournal(journalStream: string | undefined, fd: number): boolean {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return journalStream === `${dev}:${ino}`;
}

/** Standard output with each line's priority before it, which the journal takes off again (sd-daemon(3)). */
function journal(output: DestinationStream): DestinationStream {
  const stream = {
    [Symbol.for('pino.metadata')]: true, // makes pino set `lastLevel` before each write
    lastLevel: 30,
    write: (line: string) => {
      output.write(`<${priorityOf(stream.lastLevel)}>${line}`);
    },
  };
  return stream;
}

/** syslog(3)'s priority of one of pino's levels. */
export function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

/**
 * A warning that clients can cause again and again.
 * @param intervalMs in which it is written once; the next line has the number of those left out as `suppressed`
 */
export function rareWarning(log: Log, msg: string, intervalMs = 10_000): (members: object) => void {
  let next = -Infinity;
  let suppressed = 0;
  return (members) => {
    const now = performance.now();
    if (now < next) {
      suppressed += 1;
      return;
    }
    log.warn({ ...members, suppressed }, msg);
    next = now + intervalMs;
    suppressed = 0;
  };
}
