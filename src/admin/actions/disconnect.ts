/** Closes the connections of a user, or one of them, with a code of the caller if it gives one. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closeAllTimeoutMs, closedPart } from '../closing.ts';

export const disconnect = defineAction({
  name: 'disconnect',
  scope: 'manage',
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({
    /** empty: any */
    user: z.string(),
    /** a connection id; empty: all connections of the user */
    client: z.string(),
    /** ids of connections that stay open */
    whitelist: z.array(z.string()),
    /** null: closed as by `close_connection` */
    close: z.object({ code: z.int(), reason: z.string() }).nullable(),
  }),
  part: closedPart,
  run: async ({ clients }, { user, client, whitelist, close }) => {
    const one = clients.get(client);
    const named = client === '' ? clients.ofUser(user) : one ? [one] : [];
    const chosen = named.filter(
      (connection) => (user === '' || connection.user === user) && !whitelist.includes(connection.id),
    );
    return { closed: await closeAll(chosen, close ?? 'connection_killed') };
  },
  merge: (parts) => ({ closed: parts.reduce((sum, { part }) => sum + part.closed, 0) }),
});
