/**
 * The log: one line per event on standard output, JSON or readable, with time, level, pid and worker (or `primary`). Lines about
 * a connection have its `connectionId`. Secrets are never logged. A log that cannot be written never blocks the process: see
 * log-output.ts.
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
/** Interval of the lines that report suppressed lines. */
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
 * Serializes an error for the log. pino's own serializer throws for errors that are frozen, cyclic, or throw when they are read,
 * and handlers may throw anything.
 */
function errorFields(error: unknown): unknown {
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

/** Escapes characters that JSON allows and that some readers treat as line ends (Unicode standard, section 5.8). */
export function oneLine(line: string): string {
  return line.replace(
    /[\u0085\u2028\u2029]/g,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Whether the descriptor is systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`). */
function isJournal(journalStream: string | undefined, fd: number): boolean {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return journalStream === `${dev}:${ino}`;
}

/** Prefixes each line with its priority, which the journal removes (sd-daemon(3)). */
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

/** Maps a level of pino to a priority of syslog(3). */
function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

/**
 * Returns a function that logs a warning that clients can cause repeatedly.
 * @param intervalMs minimum interval between two lines; the next line has the number of lines left out as `suppressed`
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
