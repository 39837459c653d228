/** Publishes a message to every subscriber of a channel. */
import { z } from 'zod';
import { Publication } from '../../channel/publication.ts';
import type { Hub } from '../../hub.ts';
import { defineSingleAction } from '../action.ts';

/** The longest that an accepted publication waits for its answer because its channel is congested. */
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
  read: async (request) => ({ channel: request.channel(), payload: await request.json() }),
  answer: z.object({ channel: z.string() }),
  run: async ({ hub }, { channel, payload }) => {
    hub.publish(channel, new Publication(Buffer.from(payload), 'http'));
    await flowing(hub, channel);
    return { channel };
  },
});

/** Resolves when the publisher may send more to the channel, but before anyone gives up on the answer. */
async function flowing(hub: Hub, channel: string): Promise<void> {
  if (!hub.isCongested(channel)) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, maxPaceMs);
    hub.whenFlowing(channel, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
