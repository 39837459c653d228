/**
 * Lists the clients of a channel, a page at a time, by connection id. Each worker knows its own clients, so that the list is
 * right the instant a worker dies, and nothing is stored.
 */
import { z } from 'zod';
import type { PresentMember } from '../../channel/member.ts';
import { defineAction } from '../action.ts';
import { firstItems, mergePages } from '../pages.ts';
import { requirePresence } from '../refusals.ts';

const presentClient = z.object({
  connectionId: z.string(),
  /** the `sub` of its token */
  user: z.string().exactOptional(),
  /** the claim `info` of its token */
  info: z.unknown().optional(),
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
    clients: z.array(presentClient),
    /** see PagePart */
    through: z.string().nullable(),
  }),
  run: async ({ hub }, { channel, after, limit }) => {
    requirePresence(hub.optionsOf(channel));
    const members = hub.channel(channel)?.members ?? [];
    const { items, through } = await firstItems(members, ({ client }) => client.id, { after, limit });
    // Some may have been closed during the iteration.
    const present = items.flatMap(({ member }) => (member ? [presentOf(member)] : []));
    return { clients: present, through };
  },
  merge: (parts, { channel, limit }) => {
    const { items, truncated, next } = mergePages(
      parts.flatMap(({ part }) => part.clients),
      parts.map(({ part }) => part.through),
      ({ connectionId }) => connectionId,
      limit,
    );
    return { channel, clients: items, truncated, ...(next === undefined ? {} : { next }) };
  },
});

function presentOf({ connectionId, user, info }: PresentMember): z.infer<typeof presentClient> {
  return {
    connectionId,
    ...(user === '' ? {} : { user }),
    ...(info === '' ? {} : { info: JSON.parse(info) as unknown }),
  };
}
