/** Admin secrets (the admin token and API keys): identifies the caller, and checks its channels. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { scopes, type ApiKey } from '../config/api-keys-file.ts';

/** The client of an admin request, and what it may do. */
export interface Caller extends Pick<ApiKey, 'scopes' | 'channels'> {
  /** name of its API key; undefined: admin token */
  readonly key: string | undefined;
}

/** Finds the caller with a secret; null: it is neither the admin token nor an API key. */
export type Identify = (secret: string) => Caller | null;

/** Compares digests in constant time, and always with all keys. */
export function identifier(adminToken: string, keys: readonly ApiKey[]): Identify {
  const admin: Caller = { key: undefined, scopes, channels: ['*'] };
  const callers = [
    { digest: digestOf(adminToken), caller: admin },
    ...keys.map((key) => {
      const caller: Caller = { key: key.name, scopes: key.scopes, channels: key.channels };
      return { digest: Buffer.from(key.sha256, 'hex'), caller };
    }),
  ];
  return (secret) => {
    const given = digestOf(secret);
    let found: Caller | null = null;
    for (const { digest, caller } of callers) if (timingSafeEqual(given, digest)) found ??= caller;
    return found;
  };
}

export function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Whether a pattern matches the channel, exactly or by prefix. */
export function covers(patterns: readonly string[], channel: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? channel.startsWith(pattern.slice(0, -1)) : channel === pattern,
  );
}

/** Whether the patterns match every channel. */
export function coversAll(patterns: readonly string[]): boolean {
  return patterns.includes('*');
}
