/** Counts the clients and the users of a channel. All clients without a user count as one user. */
import { z } from 'zod';
import { presenceStats as action } from '../../actions/presence-stats.ts';
import { defineMethod } from '../method.ts';

export const presenceStats = defineMethod({
  name: 'presence_stats',
  action,
  isOptional: true,
  params: z.object({ channel: z.string() }),
  run: async ({ channel }, { perform }) => {
    const { connections, users } = await perform(action.call({ channel, countsAnonymous: true }));
    return { num_clients: connections, num_users: users };
  },
});
