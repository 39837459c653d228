/**
 * The handshake request of a client, as handlers read it. Kept in the form in which it was parsed, and for connections
 * with handlers only: its size is limited by `maxHeaderBytes`, and most handlers never read it.
 */
import type { IncomingHttpHeaders } from 'node:http';

/** The part of a request that is read. */
export interface HandshakeRequest {
  /** path and query, not decoded */
  url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Texts by name; without a prototype, because clients choose the names. */
export type Texts = Readonly<Record<string, string>>;

export function queryOf({ url = '' }: HandshakeRequest): Texts {
  const start = url.indexOf('?');
  return textsOf(start === -1 ? [] : new URLSearchParams(url.slice(start)));
}

/** By their names in lower case. */
export function headersOf({ headers }: HandshakeRequest): Texts {
  return textsOf(
    Object.entries(headers).map(([name, value = '']) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]),
  );
}

/** The cookies of the header `Cookie` (RFC 6265 section 5.4); of equal names the first, which has the longest path. */
export function cookiesOf({ headers: { cookie = '' } }: HandshakeRequest): Texts {
  const pairs = cookie.split(';').flatMap((pair): [string, string][] => {
    const equals = pair.indexOf('=');
    return equals === -1 ? [] : [[pair.slice(0, equals).trim(), valueOf(pair.slice(equals + 1).trim())]];
  });
  return textsOf(pairs.reverse());
}

/** Without quotes, and percent-decoded if that is possible: most servers encode what a cookie cannot hold. */
function valueOf(text: string): string {
  const value = text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function textsOf(entries: Iterable<readonly string[]>): Texts {
  const texts = Object.create(null) as Record<string, string>;
  for (const [name = '', value = ''] of entries) texts[name] = value;
  return texts;
}
