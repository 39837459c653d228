/** Lists the clients of a channel, by connection id. */
import { z } from 'zod';
import { presence as action } from '../../actions/presence.ts';
import { allPages } from '../all-pages.ts';
import { defineMethod } from '../method.ts';

export const presence = defineMethod({
  name: 'presence',
  action,
  isOptional: true,
  params: z.object({ channel: z.string() }),
  run: async ({ channel }, { perform }) => {
    const clients = await allPages(
      (page) => perform(action.call({ channel, ...page })),
      ({ clients: items }) => items,
    );
    const infos = clients.map(({ connectionId: client, user = '', info, channelInfo }) => [
      client,
      { client, user, conn_info: info, chan_info: channelInfo },
    ]);
    return { presence: Object.fromEntries(infos) as object };
  },
});
