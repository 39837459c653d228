/**
 * The readable log: one line per event with time, level, worker, message and fields, and the stack trace of an error below
 * it. Control characters in names and messages of clients cannot affect the terminal.
 */
import { isatty } from 'node:tty';

export const logFormats = ['auto', 'json', 'pretty'] as const;
export type LogFormat = (typeof logFormats)[number];

/** Resolves `auto` for standard output. */
export function formatOf(format: LogFormat): 'json' | 'pretty' {
  if (format !== 'auto') return format;
  return isatty(1) ? 'pretty' : 'json';
}

const colours: Readonly<Record<string, number>> = { debug: 36, info: 32, warn: 33, error: 31, fatal: 31 };

/** @param line a line of the JSON log */
export function prettyLine(line: string, coloured: boolean): string {
  const { time, level, worker, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  delete rest['pid'];
  const { stack, message } = (err ?? {}) as Record<string, unknown>;
  const name = String(level);
  const shown = name.toUpperCase().padEnd(5);
  const label = coloured ? `\u001b[${colours[name] ?? 0}m${shown}\u001b[0m` : shown;
  const fields = Object.entries(rest).map(([key, value]) => inert(`${key}=${valueOf(value)}`));
  const head = [String(time).slice(11, 23), label, `${String(worker)}:`, inert(String(msg)), ...fields].join(
    ' ',
  );
  const trace =
    typeof stack === 'string' && stack !== '' ? stack : typeof message === 'string' ? message : '';
  const below = trace === '' ? [] : trace.split('\n').map((part) => `    ${inert(part)}`);
  return `${[head, ...below].join('\n')}\n`;
}

function valueOf(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

/** Escapes control characters, and those that change the direction of text. */
function inert(text: string): string {
  // eslint-disable-next-line no-control-regex -- the characters to escape
  const active = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
  return text.replace(active, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
