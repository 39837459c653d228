/** Reads the history of a channel. Without a limit only its position is read. */
import { z } from 'zod';
import { readPublications as action } from '../../actions/read-publications.ts';
import { ApiError } from '../errors.ts';
import { defineMethod } from '../method.ts';

/** Publications that a negative limit reads; an answer has at most 4 MiB of them in any case. */
const maxPublications = 10_000;

export const history = defineMethod({
  name: 'history',
  action,
  isOptional: true,
  params: z.object({
    channel: z.string(),
    limit: z.int().default(0),
    since: z.object({ offset: z.int().min(0).default(0), epoch: z.string().default('') }).exactOptional(),
    reverse: z.boolean().default(false),
  }),
  run: async ({ channel, limit, since, reverse }, { perform }) => {
    if (reverse && since?.offset === 0) throw new ApiError('bad_request', 'nothing precedes offset 0');
    const { epoch, offset, isComplete, publications } = await perform(
      action.call({
        channel,
        since: since ?? null,
        limit: limit < 0 ? maxPublications : Math.min(limit, maxPublications),
        page: reverse ? 'reverse' : 'forward',
      }),
    );
    if (!isComplete) throw new ApiError('unrecoverable_position', 'the position is no longer kept');
    return `{"publications":[${publications}],"epoch":${JSON.stringify(epoch)},"offset":${offset}}`;
  },
});
