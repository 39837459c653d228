/** Empties the history of a channel. */
import { z } from 'zod';
import { removeHistory as action } from '../../actions/remove-history.ts';
import { defineMethod } from '../method.ts';

export const historyRemove = defineMethod({
  name: 'history_remove',
  action,
  isOptional: true,
  params: z.object({ channel: z.string() }),
  run: async ({ channel }, { perform }) => {
    await perform(action.call({ channel }));
    return {};
  },
});
