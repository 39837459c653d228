/** Closes the connections of a user, or one of them, with a code of the caller if it gives one. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closeAllTimeoutMs, closedPart } from '../closing.ts';
import { selectedClients, selection } from '../selection.ts';

export const disconnect = defineAction({
  name: 'disconnect',
  scope: 'manage',
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({
    ...selection,
    /** ids of connections that stay open */
    whitelist: z.array(z.string()),
    /** null: closed as by `close_connection` */
    close: z.object({ code: z.int(), reason: z.string() }).nullable(),
  }),
  part: closedPart,
  run: async ({ clients }, { whitelist, close, ...named }) => {
    const chosen = selectedClients(clients, named).filter(({ id }) => !whitelist.includes(id));
    return { closed: await closeAll(chosen, close ?? 'connection_killed') };
  },
  merge: (parts) => ({ closed: parts.reduce((sum, { part }) => sum + part.closed, 0) }),
});
