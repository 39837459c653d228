/** Closes every connection of a channel, on all workers. */
import { z } from 'zod';
import { defineAction } from '../action.ts';
import { closeAll, closeAllTimeoutMs, closedPart, totalClosed } from '../closing.ts';

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
    const members = Array.from(hub.channel(channel)?.members ?? [], ({ client }) => client);
    return { closed: await closeAll(members, 'channel_deleted') };
  },
  merge: (parts, { channel }) => ({
    channel,
    closed: totalClosed(parts, `channel ${JSON.stringify(channel)} has no connection`),
  }),
});
