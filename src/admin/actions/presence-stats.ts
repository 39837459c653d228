/** Counts the connections and the users of a channel. */
import { z } from 'zod';
import { inSlices } from '../../platform/slices.ts';
import { defineAction } from '../action.ts';
import { requirePresence } from '../refusals.ts';

export const presenceStats = defineAction({
  name: 'presence_stats',
  routes: [{ method: 'GET', path: '/channels/:channel/presence/stats' }],
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  input: z.object({
    channel: z.string(),
    /** the connections without a user count as one user */
    countsAnonymous: z.boolean(),
  }),
  read: (request) => ({ channel: request.channel(), countsAnonymous: false }),
  part: z.object({
    connections: z.int(),
    /** each user once; a user may be on several workers */
    users: z.array(z.string()),
  }),
  run: async ({ hub }, { channel, countsAnonymous }) => {
    requirePresence(hub.optionsOf(channel));
    const users = new Set<string>();
    let connections = 0;
    await inSlices(hub.channel(channel)?.members ?? [], ({ client: { user } }) => {
      connections += 1;
      if (user !== null || countsAnonymous) users.add(user ?? '');
    });
    return { connections, users: [...users] };
  },
  merge: (parts, { channel }) => ({
    channel,
    connections: parts.reduce((sum, { part }) => sum + part.connections, 0),
    users: new Set(parts.flatMap(({ part }) => part.users)).size,
  }),
});
