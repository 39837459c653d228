/**
 * Which web pages may connect. A browser lets any page open a WebSocket to any host and sends the user's cookies and
 * network position along (cross-site WebSocket hijacking), but it always says in `Origin` whose page it is. What sends
 * no `Origin` is no browser, and could say anything.
 */

/** Any page may connect. */
const anyOrigin = '*';

/**
 * @param origin the header; undefined where there is none
 * @param ownHostname as the client has asked for it
 * @param allowed origins such as `https://app.example`, or `*`
 */
export function isAllowedOrigin(
  origin: string | undefined,
  ownHostname: string,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes(anyOrigin)) return true;
  if (!URL.canParse(origin)) return false; // "null": a sandboxed page, a file
  const url = new URL(origin);
  return (url.hostname !== '' && url.hostname === ownHostname) || allowed.includes(url.origin);
}
