/** Lists the channels that the caller may see by name, a page at a time. */
import { z } from 'zod';
import { covers } from '../../auth/api-keys.ts';
import { defineAction } from '../action.ts';
import { matchesGlob } from '../glob.ts';
import { channelPart, channelsHere, mergeChannels } from '../channel-page.ts';

export const listChannels = defineAction({
  name: 'list_channels',
  routes: [{ method: 'GET', path: '/channels' }],
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  input: z.object({
    prefix: z.string(),
    /** see glob.ts; empty: all */
    pattern: z.string(),
    after: z.string(),
    limit: z.int().min(1),
    /** patterns of the channels that the caller may see */
    channels: z.array(z.string()),
  }),
  read: (request) => ({
    prefix: request.query('prefix') ?? '',
    pattern: '',
    ...request.page(),
    channels: [...request.channels],
  }),
  part: channelPart,
  run: ({ hub }, { prefix, pattern, channels, ...page }) =>
    channelsHere(
      hub,
      (name) =>
        name.startsWith(prefix) && (pattern === '' || matchesGlob(name, pattern)) && covers(channels, name),
      page,
    ),
  merge: (parts, { limit }) => {
    const { items, truncated, next } = mergeChannels(parts, limit);
    return { channels: items, truncated, ...(next === undefined ? {} : { next }) };
  },
});
