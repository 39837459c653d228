/** Lists the connections of a channel, a page at a time, by id. */
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { defineAction, onMachine } from '../action.ts';
import { connectionSummary, summaryOf } from '../connection-summary.ts';
import { mergeClients, subscriptionsHere } from '../client-page.ts';

export const showChannel = defineAction({
  name: 'show_channel',
  routes: [{ method: 'GET', path: '/channels/:channel' }],
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  input: z.object({ channel: z.string(), after: z.string(), limit: z.int().min(1) }),
  read: (request) => ({ channel: request.channel(), ...request.page() }),
  part: z.object({
    /** connections of the channel on this worker */
    total: z.int(),
    items: z.array(connectionSummary),
    /** see PagePart */
    through: z.string().nullable(),
  }),
  run: async ({ hub }, { channel, ...page }) => {
    const { items, through } = await subscriptionsHere(hub, channel, page);
    return {
      total: hub.channel(channel)?.members.size ?? 0,
      items: items.map(({ client }) => summaryOf(client, hub.workerId)),
      through,
    };
  },
  merge: (parts, { channel, limit }) => {
    const total = parts.reduce((sum, { part }) => sum + part.total, 0);
    if (total === 0) throw new HubError('not_found', `channel ${JSON.stringify(channel)} has no connection`);
    const { items, next } = mergeClients(
      parts.map(({ worker, part: { items: own, through } }) => ({
        items: own.map((item) => ({ ...item, ...onMachine(worker) })),
        through,
      })),
      limit,
    );
    return { channel, total, connections: items, ...(next === undefined ? {} : { next }) };
  },
});
