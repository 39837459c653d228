/** Closes the connections of a user, or one connection. */
import { z } from 'zod';
import { disconnect as action } from '../../actions/disconnect.ts';
import { defineMethod } from '../method.ts';
import { clientParams, requireClient } from '../client-params.ts';

export const disconnect = defineMethod({
  name: 'disconnect',
  action,
  params: z.object({
    ...clientParams,
    /** ids of connections that stay open */
    whitelist: z.array(z.string()).default([]),
    disconnect: z
      .object({ code: z.int().min(3000).max(4999), reason: z.string().max(123).default('') })
      .exactOptional(),
  }),
  run: async ({ whitelist, disconnect: close = null, ...selection }, { perform }) => {
    await perform(action.call({ ...requireClient(selection), whitelist, close }));
    return {};
  },
});
