/** Publishes the same to many channels. The answer has one response for each, in their order. */
import { z } from 'zod';
import { publishBatch as action } from '../../actions/publish-batch.ts';
import { apiErrorOf } from '../errors.ts';
import { defineMethod } from '../method.ts';
import { publicationParams, readPublication } from '../publication.ts';

export const broadcast = defineMethod({
  name: 'broadcast',
  action,
  params: z.object({
    /** JSON text, which may be long */
    channels: z.string().regex(/^\[\s*[^\s\]]/, 'must be a list of one or more'),
    ...publicationParams,
  }),
  unparsed: ['channels', 'data'],
  run: async ({ channels: names, ...publication }, { channels, maxPayload, perform }) => {
    const { payload, key } = readPublication(publication, maxPayload);
    const keyMember = key === undefined ? '' : `,"idempotencyKey":${JSON.stringify(key)}`;
    const body = `[{"channels":${names},"data":${payload}${keyMember}}]`;
    const answers = await perform(action.call({ body, maxPayload, channels: [...channels] }));
    const responses = answers.map((answer) =>
      'error' in answer
        ? { error: apiErrorOf(answer.error.code, answer.error.message) }
        : { result: { offset: answer.offset, epoch: answer.epoch } },
    );
    return { responses };
  },
});
