/** Ends the subscriptions of a user, or of one connection, to a channel. A connection of the plain protocol ends with its channel. */
import { z } from 'zod';
import { inSlices } from '../../platform/slices.ts';
import { unsubscribeClient } from '../../session/server-commands.ts';
import { Session } from '../../session/session.ts';
import { defineAction } from '../action.ts';
import { closeAllTimeoutMs } from '../closing.ts';
import { done, selectedClients, selection } from '../selection.ts';

export const unsubscribe = defineAction({
  name: 'unsubscribe',
  scope: 'manage',
  byChannel: true,
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({ ...selection, channel: z.string() }),
  ...done,
  run: async ({ clients }, { channel, ...chosen }) => {
    await inSlices(selectedClients(clients, chosen), ({ session, subscriptions }) => {
      if (session instanceof Session) {
        unsubscribeClient(session, channel);
        return;
      }
      const subscription = subscriptions.find((one) => one.channel.name === channel);
      subscription?.client.endSubscription(subscription, 'channel_deleted');
    });
    return {};
  },
});
