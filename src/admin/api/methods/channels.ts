/** Lists the channels that have clients, with the number of each. */
import { z } from 'zod';
import { listChannels as action } from '../../actions/list-channels.ts';
import { allPages } from '../all-pages.ts';
import { defineMethod } from '../method.ts';

export const channels = defineMethod({
  name: 'channels',
  action,
  params: z.object({
    /** `*` stands for any characters, `?` for one; empty: all channels */
    pattern: z
      .string()
      .max(255)
      .regex(/^[^[\]{}\\]*$/, 'only * and ? have a meaning in a pattern')
      .default(''),
  }),
  run: async ({ pattern }, { channels: allowed, perform }) => {
    const summaries = await allPages(
      (page) => perform(action.call({ prefix: '', pattern, channels: [...allowed], ...page })),
      ({ channels: items }) => items,
    );
    const counts = summaries.map(({ channel, connections }) => [channel, { num_clients: connections }]);
    return { channels: Object.fromEntries(counts) as object };
  },
});
