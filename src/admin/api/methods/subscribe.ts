/** Subscribes the SDK clients of a user, or one client, to a channel. */
import { z } from 'zod';
import { subscribe as action } from '../../actions/subscribe.ts';
import { clientParams, requireClient } from '../client-params.ts';
import { defineMethod } from '../method.ts';
import { jsonText } from '../publication.ts';

const absent = z.never('is not supported').exactOptional();

export const subscribe = defineMethod({
  name: 'subscribe',
  action,
  params: z.object({
    ...clientParams,
    channel: z.string(),
    /** JSON text about the subscription, for presence */
    info: z.string().exactOptional(),
    b64info: z.string().default(''),
    /** JSON text for the client */
    data: z.string().exactOptional(),
    b64data: z.string().default(''),
    /** Unix time in seconds; 0: it does not expire */
    expire_at: z.int().min(0).default(0),
    recover_since: z
      .object({ offset: z.int().min(0).default(0), epoch: z.string().default('') })
      .exactOptional(),
    // Without them the client would get more, or other things, than the caller wants.
    override: absent,
    tagsFilter: absent,
    tags_filter: absent,
  }),
  unparsed: ['info', 'data'],
  run: async (params, { maxPayload, perform }) => {
    const { channel, expire_at: expiresAt, recover_since: since = null } = params;
    await perform(
      action.call({
        ...requireClient(params),
        channel,
        channelInfo: jsonText(params.info, params.b64info, maxPayload) ?? '',
        data: jsonText(params.data, params.b64data, maxPayload) ?? '',
        expiresAt: expiresAt === 0 ? null : expiresAt,
        since,
      }),
    );
    return {};
  },
});
