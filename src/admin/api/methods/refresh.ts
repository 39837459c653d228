/** Sets when the connections of a user, or one, expire. */
import { z } from 'zod';
import { refresh as action } from '../../actions/refresh.ts';
import { clientParams, requireClient } from '../client-params.ts';
import { defineMethod } from '../method.ts';

export const refresh = defineMethod({
  name: 'refresh',
  action,
  params: z.object({
    ...clientParams,
    /** they have expired */
    expired: z.boolean().default(false),
    /** Unix time in seconds; 0: they do not expire */
    expire_at: z.int().min(0).default(0),
    info: z.never('is not supported').exactOptional(),
  }),
  run: async ({ expired, expire_at: at, ...selection }, { perform }) => {
    const expiresAt = expired ? 0 : at === 0 ? null : at;
    await perform(action.call({ ...requireClient(selection), expiresAt }));
    return {};
  },
});
