/**
 * Lists the clients of a channel, a page at a time, by connection id. Each worker knows its own clients, so that the list is
 * right the instant a worker dies, and nothing is stored.
 */
import { z } from 'zod';
import type { PresentMember } from '../../channel/member.ts';
import { defineAction } from '../action.ts';
import { mergeClients, subscriptionsHere } from '../client-page.ts';
import { requirePresence } from '../refusals.ts';

const presentClient = z.object({
  connectionId: z.string(),
  /** the `sub` of its token */
  user: z.string().exactOptional(),
  /** the claim `info` of its token */
  info: z.unknown().optional(),
  /** the claim `info` of its token for this channel */
  channelInfo: z.unknown().optional(),
});

export const presence = defineAction({
  name: 'presence',
  routes: [{ method: 'GET', path: '/channels/:channel/presence' }],
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  input: z.object({ channel: z.string(), after: z.string(), limit: z.int().min(1) }),
  read: (request) => ({ channel: request.channel(), ...request.page() }),
  part: z.object({
    items: z.array(presentClient),
    /** see PagePart */
    through: z.string().nullable(),
  }),
  run: async ({ hub }, { channel, ...page }) => {
    requirePresence(hub.optionsOf(channel));
    const { items, through } = await subscriptionsHere(hub, channel, page);
    return { items: items.flatMap(({ member }) => (member ? [presentOf(member)] : [])), through };
  },
  merge: (parts, { channel, limit }) => {
    const { items, truncated, next } = mergeClients(
      parts.map(({ part }) => part),
      limit,
    );
    return { channel, clients: items, truncated, ...(next === undefined ? {} : { next }) };
  },
});

function presentOf({ connectionId, user, info, channelInfo }: PresentMember): z.infer<typeof presentClient> {
  return {
    connectionId,
    ...(user === '' ? {} : { user }),
    ...(info === '' ? {} : { info: JSON.parse(info) as unknown }),
    ...(channelInfo === '' ? {} : { channelInfo: JSON.parse(channelInfo) as unknown }),
  };
}
