/** Ends the subscriptions of a user, or of one client, to a channel. */
import { z } from 'zod';
import { unsubscribe as action } from '../../actions/unsubscribe.ts';
import { clientParams, requireClient } from '../client-params.ts';
import { defineMethod } from '../method.ts';

export const unsubscribe = defineMethod({
  name: 'unsubscribe',
  action,
  params: z.object({ ...clientParams, channel: z.string() }),
  run: async ({ channel, ...selection }, { perform }) => {
    await perform(action.call({ ...requireClient(selection), channel }));
    return {};
  },
});
