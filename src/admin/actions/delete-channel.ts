/** Ends every subscription of a channel, on all workers. A connection that has one channel is closed. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { endSubscriptions, closeAllTimeoutMs, closedPart, totalClosed } from '../closing.ts';

export const deleteChannel = defineAction({
  name: 'delete_channel',
  routes: [
    { method: 'DELETE', path: '/channels/:channel' },
    { method: 'DELETE', path: '/delete/:channel', onlyAtRoot: true },
  ],
  scope: 'manage',
  byChannel: true,
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({ channel: z.string() }),
  read: (request) => ({ channel: request.channel() }),
  part: closedPart,
  run: async ({ hub }, { channel }) => {
    return { closed: await endSubscriptions([...(hub.channel(channel)?.members ?? [])], 'channel_deleted') };
  },
  merge: (parts, { channel }) => ({
    channel,
    closed: totalClosed(parts, `channel ${JSON.stringify(channel)} has no connection`),
  }),
});
