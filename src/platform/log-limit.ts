/**
 * Limits the rate of repeated warnings and errors, some of which clients can cause with every message: the first lines of a kind
 * are logged, then one per second, and the others are counted. Also limits the length of a line, because errors may contain
 * messages of clients. Has no clock: the time is an argument, in ms.
 */
import { bucketShape, fullBucket, take } from './token-bucket.ts';

/** Lines per second and burst, for each kind of line in each process. */
const shape = bucketShape(1, 10);

const maxLineLength = 16 * 1024;
const maxTextLength = 4 * 1024;

/** Fields that, with the message, define the kind of a line. Clients cannot choose their values. */
const kindFields = ['handler', 'command', 'workerId', 'slot'] as const;

/** A kind with suppressed lines. */
export interface Suppressed {
  msg: string;
  /** the fields of `kindFields` that the lines have */
  fields: Record<string, unknown>;
  level: number;
  lines: number;
}

interface Kind extends Suppressed {
  /** the token bucket */
  fullAt: number;
}

export class LogLimit {
  readonly #kinds = new Map<string, Kind>();

  /** @returns whether to log the line */
  admit(fields: unknown, msg: string, level: number, now: number): boolean {
    const of = kindOf(fields);
    const key = JSON.stringify([msg, of]);
    let kind = this.#kinds.get(key);
    if (!kind) this.#kinds.set(key, (kind = { msg, fields: of, level, lines: 0, fullAt: fullBucket }));
    const fullAt = take(kind.fullAt, shape, 1, now);
    if (Number.isNaN(fullAt)) kind.lines += 1;
    else kind.fullAt = fullAt;
    return !Number.isNaN(fullAt);
  }

  /** Returns the suppressed lines since the last call, and forgets kinds that no longer occur. */
  takeSuppressed(now: number): Suppressed[] {
    const all: Suppressed[] = [];
    for (const [key, kind] of this.#kinds) {
      if (kind.lines > 0) all.push({ ...kind });
      else if (kind.fullAt <= now) this.#kinds.delete(key);
      kind.lines = 0;
    }
    return all;
  }
}

function kindOf(fields: unknown): Record<string, unknown> {
  if (typeof fields !== 'object' || fields === null) return {};
  const all = fields as Record<string, unknown>;
  return Object.fromEntries(kindFields.flatMap((name) => (name in all ? [[name, all[name]]] : [])));
}

/** Returns the line; if it is too long, with shortened texts and without large objects. */
export function boundedLine(line: string): string {
  if (line.length <= maxLineLength) return line;
  const { err, ...members } = JSON.parse(line) as Record<string, unknown>;
  const { type, message, stack } = (err ?? {}) as Record<string, unknown>;
  const short = (value: unknown) =>
    typeof value === 'string' && value.length > maxTextLength ? value.slice(0, maxTextLength) : value;
  const kept = Object.entries(members).flatMap(([name, value]) =>
    typeof value === 'object' && JSON.stringify(value).length > maxTextLength ? [] : [[name, short(value)]],
  );
  const error = err === undefined ? {} : { err: { type, message: short(message), stack: short(stack) } };
  return `${JSON.stringify({ ...Object.fromEntries(kept), ...error, shortened: true })}\n`;
}
