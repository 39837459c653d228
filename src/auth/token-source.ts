/**
 * Where a client's token stands in its handshake: `Authorization: Bearer`, the subprotocol pair `bearer, <token>`
 * (a browser can set no headers, but it can offer subprotocols), or `?token=`, in this order.
 */
import type { IncomingMessage } from 'node:http';

/** The subprotocol that is answered when a token was sent as the other one of the pair. */
export const bearerProtocol = 'bearer';

/** The token, or null where none was sent. */
export function tokenOf(request: Pick<IncomingMessage, 'headers' | 'url'>): string | null {
  const { authorization, 'sec-websocket-protocol': protocols } = request.headers;
  const header = /^Bearer +([^ ]+)$/i.exec(authorization ?? '')?.[1];
  if (header !== undefined) return header;
  const offered = protocols?.split(',').map((protocol) => protocol.trim()) ?? [];
  const pair = offered.indexOf(bearerProtocol);
  if (pair !== -1) return offered[pair + 1] ?? null;
  const query = request.url?.indexOf('?') ?? -1;
  return query === -1 ? null : new URLSearchParams(request.url?.slice(query)).get('token');
}

/** ws asks which of the offered subprotocols is answered; a token must never be, nor one that the hub does not speak. */
export function answeredProtocol(offered: Set<string>): string | false {
  return offered.has(bearerProtocol) && bearerProtocol;
}
