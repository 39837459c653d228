/**
 * Finds a client's token in its handshake: `Authorization: Bearer`, the subprotocol pair `bearer, <token>` (for browsers, which
 * cannot set headers), or `?token=`, in this order.
 */
import type { IncomingMessage } from 'node:http';

/** The subprotocol that the hub selects; the token is the other one of the pair. */
const bearerProtocol = 'bearer';

/** Returns the token; null: none was sent. */
export function tokenOf(request: Pick<IncomingMessage, 'headers' | 'url'>): string | null {
  const { authorization, 'sec-websocket-protocol': protocols } = request.headers;
  const header = bearerToken(authorization);
  if (header !== null) return header;
  const offered = protocols?.split(',').map((protocol) => protocol.trim()) ?? [];
  const pair = offered.indexOf(bearerProtocol);
  if (pair !== -1) return offered[pair + 1] ?? null;
  const query = request.url?.indexOf('?') ?? -1;
  return query === -1 ? null : new URLSearchParams(request.url?.slice(query)).get('token');
}

/** Returns the token of `Authorization: Bearer <token>` (RFC 6750 section 2.1); null: any other value. */
export function bearerToken(authorization: string | undefined): string | null {
  return /^Bearer +([^ ]+)$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** Selects the subprotocol, null: none. It is never the token, and none that the hub does not support. */
export function answeredProtocol(offered: ReadonlySet<string>): string | null {
  return offered.has(bearerProtocol) ? bearerProtocol : null;
}
