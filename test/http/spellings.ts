/** Paths that a proxy or a lenient router may take for an admin route, and that must not reach one. */

/** Each admin route with a channel that exists. */
export const adminRequests: readonly [method: string, path: string][] = [
  ['DELETE', '/channels/room'],
  ['DELETE', '/delete/room'],
  ['DELETE', '/connections/an-id'],
  ['GET', '/connections/an-id'],
  ['DELETE', '/kill-connection/room/an-id/w1'],
  ['DELETE', '/users/anna'],
  ['GET', '/channels'],
  ['GET', '/channels/room'],
  ['POST', '/channels/room/messages'],
  ['GET', '/state'],
  ['GET', '/admin/state'],
  ['GET', '/admin/channels/room'],
  ['DELETE', '/admin/channels/room'],
];

/** Other spellings of a path, as they stand in the request line. */
export function spellingsOf(path: string): string[] {
  const [, first = ''] = path.split('/');
  const rest = path.slice(first.length + 1);
  const encoded = `%${first.charCodeAt(0).toString(16)}${first.slice(1)}`;
  return [
    `/${first.toUpperCase()}${rest}`,
    `/${first.slice(0, 1).toUpperCase()}${first.slice(1)}${rest}`,
    `${path}/`,
    `/${path}`,
    `/.${path}`,
    `/%2e${path}`,
    `/x/..${path}`,
    `/x/%2e%2e${path}`,
    `/%2f${first}${rest}`,
    `/${encoded}${rest}`,
    `/${first}%20${rest}`,
    `/${first};x${rest}`,
    // Forms that url.parse() repairs.
    `/${first}${rest.replaceAll('/', '\\')}#`,
    `/\\${first}${rest}?\u00a0`,
    `${path}#x`,
    `${path}\u00a0`,
    `http://hub.example/${path}`,
    `http://hub.example/${first.toUpperCase()}${rest}`,
  ];
}
