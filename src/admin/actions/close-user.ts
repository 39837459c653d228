/** Closes all connections whose token has this `sub`, on all workers. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closeAllTimeoutMs, closedPart, totalClosed } from '../closing.ts';

export const closeUser = defineAction({
  name: 'close_user',
  routes: [{ method: 'DELETE', path: '/users/:user' }],
  scope: 'manage',
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({ user: z.string() }),
  read: (request) => ({ user: request.parameter('user') }),
  part: closedPart,
  run: async ({ clients }, { user }) => ({
    closed: await closeAll(clients.ofUser(user), 'connection_killed'),
  }),
  merge: (parts, { user }) => ({
    user,
    closed: totalClosed(parts, `user ${JSON.stringify(user)} has no connection`),
  }),
});
