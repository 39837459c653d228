/** Closes one connection of a channel, on the worker that the request names. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closedPart, totalClosed } from '../closing.ts';

export const killConnection = defineAction({
  name: 'kill_connection',
  routes: [
    {
      method: 'DELETE',
      path: '/kill-connection/:channel/:connectionId/:workerId',
      onlyAtRoot: true,
    },
  ],
  scope: 'manage',
  byChannel: true,
  audit: 'info',
  input: z.object({ channel: z.string(), connectionId: z.string(), workerId: z.string() }),
  read: (request) => ({
    channel: request.channel(),
    connectionId: request.parameter('connectionId'),
    workerId: request.parameter('workerId'),
  }),
  workerId: ({ workerId }) => workerId,
  part: closedPart,
  run: async ({ clients }, { channel, connectionId }) => {
    const connection = clients.get(connectionId);
    if (!connection?.subscriptions.some((subscription) => subscription.channel.name === channel))
      return { closed: 0 };
    return { closed: await closeAll([connection], 'connection_killed') };
  },
  merge: (parts, input) => ({ ...input, closed: totalClosed(parts, 'there is no such connection') }),
});
