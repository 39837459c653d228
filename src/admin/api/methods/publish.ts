/** Publishes to one channel. The answer has the position in a channel with history. */
import { z } from 'zod';
import { publish as action } from '../../actions/publish.ts';
import { defineMethod } from '../method.ts';
import { publicationParams, readPublication } from '../publication.ts';

export const publish = defineMethod({
  name: 'publish',
  action,
  params: z.object({ channel: z.string(), ...publicationParams }),
  unparsed: ['data'],
  run: async ({ channel, ...publication }, { maxPayload, perform }) => {
    const { offset, epoch } = await perform(
      action.call({ channel, ...readPublication(publication, maxPayload) }),
    );
    return { offset, epoch };
  },
});
