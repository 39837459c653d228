/**
 * The key set (JWKS) that verifies client tokens, fetched from its URL. Clients cannot cause frequent fetches, and keys stay in
 * use for a day after the last successful fetch: an outage of their server must not keep clients out.
 */
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { messageOf } from '../platform/errors.ts';

/** Age at which a key set is fetched again. */
export const keySetMaxAgeMs = 600_000;
/** Age up to which it is used if fetches fail. */
export const keySetMaxStaleMs = 24 * 3_600_000;
/** Minimum interval of fetches for unknown key ids, which clients choose. */
const keySetCooldownMs = 30_000;
const keySetTimeoutMs = 5_000;
/** Minimum time between a failed fetch and the next one. */
const fetchBackoffMs = 5_000;
const keySetMaxBytes = 1024 * 1024;

/** The server of the key set does not answer, or its answer is invalid. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError';
}

/** Finds the key of a token; implemented by jose's key set. */
export type RemoteKeys = JWTVerifyGetKey & { reload(): Promise<void> };

/** @param onStale called when the keys are due for a refresh and cannot be fetched; once until the next success */
export function keySet(url: string, onStale: (reason: string) => void): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: Infinity, // `refreshed` handles their age
    cooldownDuration: keySetCooldownMs,
    timeoutDuration: keySetTimeoutMs,
    [customFetch]: boundedFetch(),
  });
  return refreshed(keys, onStale);
}

/**
 * Wraps a key set: fetches the keys again when they are due, and keeps using the old ones if that fails.
 * @param now returns ms of a monotonic clock
 */
export function refreshed(
  keys: RemoteKeys,
  onStale: (reason: string) => void,
  now: () => number = () => performance.now(),
): JWTVerifyGetKey {
  let fetchedAt = -Infinity;
  /** the last fetch failed */
  let isStale = false;

  /** @returns the error of the fetch; null: success */
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
      if (!isStale) await refreshing; // otherwise clients would wait for an unresponsive server
    }
    return keys(header, token);
  };
}

/**
 * Returns a fetch function with a size limit and a pause after failures. jose's own cooldown starts only with the first
 * success.
 */
function boundedFetch(): (url: string, options: RequestInit) => Promise<Response> {
  let failedAt = -Infinity;
  return async (url, options) => {
    if (performance.now() - failedAt < fetchBackoffMs) {
      throw new KeysUnavailableError('the last fetch failed recently');
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
