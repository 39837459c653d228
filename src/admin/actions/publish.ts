/** Publishes a message to every subscriber of a channel. */
import { z } from 'zod';
import { defineSingleAction } from '../action.ts';
import { channelFlows } from '../pace.ts';
import { badKey, publishedAt, publishMessage } from '../publish-message.ts';
import { isIdempotencyKey } from '../../relay/broker-link/idempotency-key.ts';
import { placement } from '../../relay/broker-link/placement.ts';

/** Maximum delay of the answer to an accepted publication while its channel is congested. */
const maxPaceMs = 1_500;
/** Time limit for the broker to answer with the position. A broker that dies is replaced in about a second. */
const maxPlaceMs = 3_000;

export const publish = defineSingleAction({
  name: 'publish',
  routes: [{ method: 'POST', path: '/channels/:channel/messages' }],
  scope: 'publish',
  byChannel: true,
  audit: 'debug', // back ends publish thousands of times a second
  status: 202,
  timeoutMs: 5_000,
  /** `payload` is JSON text, published as it is */
  input: z.object({ channel: z.string(), payload: z.string(), key: z.string().optional() }),
  read: async (request) => {
    const channel = request.channel();
    const header = request.header('idempotency-key');
    // Node reads the bytes of a header as latin1; in a batch the same key is text.
    const key = header === undefined ? undefined : Buffer.from(header, 'latin1').toString();
    if (key !== undefined && !isIdempotencyKey(key)) throw badKey('Idempotency-Key');
    return { channel, payload: await request.json(), key };
  },
  answer: z.object({
    channel: z.string(),
    epoch: z.string().exactOptional(),
    offset: z.int().exactOptional(),
  }),
  run: async (on, { channel, payload, key }) => {
    const message = { channel, payload: Buffer.from(payload), key };
    const position = await placement((placed) => {
      publishMessage(on, message, placed);
    }, maxPlaceMs);
    await channelFlows(on.hub, channel, maxPaceMs);
    return publishedAt(channel, position);
  },
});
