/** Publishes a message to every subscriber of a channel. */
import { z } from 'zod';
import { Publication } from '../../channel/publication.ts';
import { defineSingleAction } from '../action.ts';
import { channelFlows } from '../pace.ts';
import { keyRefusal } from '../refusals.ts';

/** Maximum delay of the answer to an accepted publication while its channel is congested. */
const maxPaceMs = 1_500;

export const publish = defineSingleAction({
  name: 'publish',
  routes: [{ method: 'POST', path: '/channels/:channel/messages' }],
  scope: 'publish',
  byChannel: true,
  audit: 'debug', // back ends publish thousands of times a second
  status: 202,
  /** `payload` is JSON text, published as it is */
  input: z.object({ channel: z.string(), payload: z.string() }),
  read: async (request) => {
    const channel = request.channel();
    if (request.header('idempotency-key') !== undefined) throw keyRefusal();
    return { channel, payload: await request.json() };
  },
  answer: z.object({ channel: z.string() }),
  run: async ({ hub }, { channel, payload }) => {
    hub.publish(channel, new Publication(Buffer.from(payload), 'http'));
    await channelFlows(hub, channel, maxPaceMs);
    return { channel };
  },
});
