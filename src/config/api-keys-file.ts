/**
 * The file of API keys: named secrets of back ends, each with scopes and channels. It has the SHA-256 digest of a key,
 * never the key, and no message about it quotes a value from it: an operator may have put a key in the wrong place.
 */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { OperatorError, messageOf } from '../platform/errors.ts';

/** Scopes of admin routes. */
export const scopes = ['publish', 'read', 'manage'] as const;
export type Scope = (typeof scopes)[number];

export interface ApiKey {
  readonly name: string;
  /** digest of the key, hexadecimal */
  readonly sha256: string;
  readonly scopes: readonly Scope[];
  /** channel names; a `*` at the end matches any suffix */
  readonly channels: readonly string[];
}

export interface ApiKeysFile {
  readonly keys: readonly ApiKey[];
  /** every user of the machine can read the file */
  readonly isPublic: boolean;
}

const maxFileBytes = 1024 * 1024;
/** Every request is compared with all keys. */
const maxKeys = 1_000;

const allowed = {
  name: '1 to 64 characters of visible ASCII',
  sha256: 'the SHA-256 digest of the key, 64 hexadecimal digits (wshub api-key makes both)',
  scopes: `a list of one or more of ${scopes.join(', ')}`,
  channels: 'a list of one or more names, with a "*" only at the end',
} as const satisfies Record<keyof ApiKey, string>;

const apiKey: z.ZodType<ApiKey> = z.strictObject({
  name: z.string().regex(/^[\x21-\x7e]{1,64}$/),
  sha256: z.string().regex(/^[\da-f]{64}$/i),
  scopes: z.array(z.enum(scopes)).min(1),
  channels: z.array(z.string().regex(/^(?=.)[^*]*\*?$/su)).min(1),
});

/**
 * Reads the file; without one there are no keys.
 * @throws {OperatorError} one sentence without a value from the file
 */
export function readApiKeys(file: string | undefined): ApiKeysFile {
  if (file === undefined) return { keys: [], isPublic: false };
  try {
    const { size, mode } = regularFile(file);
    if (size > maxFileBytes) throw new Error(`it has more than ${maxFileBytes} bytes`);
    return { keys: parseApiKeys(readFileSync(file, 'utf8')), isPublic: (mode & 0o004) !== 0 };
  } catch (cause) {
    throw new OperatorError(`API keys file ${file}: ${messageOf(cause)}`, { cause });
  }
}

/** Rejects other kinds of files: reading a pipe would never end. */
function regularFile(file: string): { size: number; mode: number } {
  const stats = statSync(file);
  if (!stats.isFile()) throw new Error('it is not a file');
  return stats;
}

/** @throws {Error} the fault, as the end of a sentence */
export function parseApiKeys(text: string): readonly ApiKey[] {
  const list = jsonOf(text);
  if (!Array.isArray(list)) throw new Error('it must hold one JSON array');
  if (list.length > maxKeys) throw new Error(`it has more than ${maxKeys} keys`);
  const keys = list.map((entry: unknown, index) => {
    const parsed = apiKey.safeParse(entry);
    if (!parsed.success) throw new Error(`key ${index + 1} ${faultOf(parsed.error)}`);
    return { ...parsed.data, sha256: parsed.data.sha256.toLowerCase() };
  });
  for (const member of ['name', 'sha256'] as const) {
    const double = keys.findIndex((key, index) =>
      keys.slice(0, index).some((k) => k[member] === key[member]),
    );
    if (double !== -1) throw new Error(`key ${double + 1} has the "${member}" of another key`);
  }
  return keys;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error('it is not JSON', { cause }); // the parser's message quotes the text
  }
}

function faultOf({ issues }: z.ZodError): string {
  const [first] = issues;
  const member = first?.path[0];
  if (typeof member === 'string' && member in allowed) {
    return `must have as "${member}" ${allowed[member as keyof ApiKey]}`;
  }
  return `must be an object with ${Object.keys(allowed).join(', ')} and nothing else`;
}
