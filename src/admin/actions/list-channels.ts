/** Lists the channels of the whole hub by name, a page at a time. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { channelPart, channelsHere, mergeChannels } from '../channel-page.ts';

export const listChannels = defineAction({
  name: 'list_channels',
  routes: [{ method: 'GET', path: '/channels' }],
  audit: 'debug',
  input: z.object({ prefix: z.string(), after: z.string(), limit: z.int().min(1) }),
  read: (request) => ({ prefix: request.query('prefix') ?? '', ...request.page() }),
  part: channelPart,
  run: ({ hub }, { prefix, ...page }) => channelsHere(hub, prefix, page),
  merge: (parts, { limit }) => {
    const { items, truncated, next } = mergeChannels(parts, limit);
    return { channels: items, truncated, ...(next === undefined ? {} : { next }) };
  },
});
