/** Closes one connection, whichever worker it is on. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closedPart, totalClosed } from '../closing.ts';

export const closeConnection = defineAction({
  name: 'close_connection',
  routes: [{ method: 'DELETE', path: '/connections/:id' }],
  scope: 'manage',
  audit: 'info',
  input: z.object({ connectionId: z.string() }),
  read: (request) => ({ connectionId: request.parameter('id') }),
  part: closedPart,
  run: async ({ clients }, { connectionId }) => {
    const connection = clients.get(connectionId);
    return { closed: connection ? await closeAll([connection], 'connection_killed') : 0 };
  },
  merge: (parts, { connectionId }) => ({
    connectionId,
    closed: totalClosed(parts, 'there is no such connection'),
  }),
});
