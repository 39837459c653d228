/**
 * The key set (JWKS) that clients' tokens are signed with, fetched from its URL. It promises that its server is asked
 * rarely, whatever clients send, and that keys stay in use for a day after the last fetch that succeeded: they have
 * verified tokens before, and clients must not depend on that server in every moment.
 */
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { messageOf } from '../platform/errors.ts';

/** A key set is fetched anew when it is this old. */
export const keySetMaxAgeMs = 600_000;
/** Where that fails, it is used until it is this old. */
export const keySetMaxStaleMs = 24 * 3_600_000;
/** A token with an unknown key id fetches the set at most this often: its sender chooses the id. */
const keySetCooldownMs = 30_000;
const keySetTimeoutMs = 5_000;
/** After a fetch that failed there is no other one for so long. */
const fetchBackoffMs = 5_000;
const keySetMaxBytes = 1024 * 1024;

/** The key set's server does not answer, or not as it should. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError';
}

/** Finds the key of a token; jose's key set fits. */
export type RemoteKeys = JWTVerifyGetKey & { reload(): Promise<void> };

/** @param onStale told once when the keys have reached their age and cannot be fetched, and again after a success */
export function keySet(url: string, onStale: (reason: string) => void): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: Infinity, // their age is refreshed' business
    cooldownDuration: keySetCooldownMs,
    timeoutDuration: keySetTimeoutMs,
    [customFetch]: boundedFetch(),
  });
  return refreshed(keys, onStale);
}

/**
 * Fetches the keys anew when they are old, and goes on with the old ones where that fails.
 * @param now milliseconds of a monotonic clock
 */
export function refreshed(
  keys: RemoteKeys,
  onStale: (reason: string) => void,
  now: () => number = () => performance.now(),
): JWTVerifyGetKey {
  let fetchedAt = -Infinity;
  /** the last try has failed */
  let isStale = false;

  /** @returns why that failed; null if it did not */
  const refresh = async (): Promise<unknown> => {
    try {
      await keys.reload();
      fetchedAt = now();
      isStale = false;
      return null;
    } catch (cause) {
      if (!isStale && now() - fetchedAt < keySetMaxStaleMs) onStale(messageOf(cause));
      isStale = true;
      return cause;
    }
  };

  return async (header, token) => {
    const age = now() - fetchedAt;
    if (age >= keySetMaxStaleMs) {
      const cause = await refresh();
      if (cause !== null) throw new KeysUnavailableError('the key set cannot be fetched', { cause });
    } else if (age >= keySetMaxAgeMs) {
      const refreshing = refresh();
      if (!isStale) await refreshing; // else clients would wait for a server that does not answer
    }
    return keys(header, token);
  };
}

/**
 * Fetches the key set, at most one megabyte of it, and leaves its server alone for a while after a failure.
 * jose's own bound on refetching begins with the first success.
 */
function boundedFetch(): (url: string, options: RequestInit) => Promise<Response> {
  let failedAt = -Infinity;
  return async (url, options) => {
    if (performance.now() - failedAt < fetchBackoffMs) {
      throw new KeysUnavailableError('the last fetch has failed a moment ago');
    }
    try {
      const response = await fetch(url, options);
      if (response.status !== 200) throw new KeysUnavailableError(`status ${response.status}`);
      return new Response(await textOf(response), { status: 200 });
    } catch (cause) {
      failedAt = performance.now();
      throw new KeysUnavailableError('the key set cannot be fetched', { cause });
    }
  };
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > keySetMaxBytes) throw new KeysUnavailableError(`more than ${keySetMaxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}
