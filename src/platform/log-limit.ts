/**
 * Bounds what repeated warnings and errors cost: clients can cause some of them with every message. Of each kind the
 * first lines are logged, then one a second; the others are counted. Bounds the length of a line too, because an error
 * may carry what a client sent. Dry: the time is an argument, in milliseconds.
 */
import { bucketShape, fullBucket, take } from './token-bucket.ts';

/** In each process, for each kind of line. */
const shape = bucketShape(1, 10);

const maxLineLength = 16 * 1024;
const maxTextLength = 4 * 1024;

/** What makes two lines of one kind, besides the message. A client chooses none of them. */
const kindFields = ['handler', 'command', 'workerId', 'slot'] as const;

/** A kind of which lines were left out. */
export interface Suppressed {
  msg: string;
  /** those of `kindFields` that the lines have */
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

  /** @returns whether the line is to be logged */
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

  /** What was left out since the last call; forgets the kinds that are calm. */
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

/** The line, or, if it is too long, what identifies it and the beginnings of its texts. */
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
