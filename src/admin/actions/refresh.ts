/** Sets when the connections of a user, or one, expire. */
import { z } from 'zod';
import { inSlices } from '../../platform/slices.ts';
import { expiryGraceSeconds } from '../../session/channels.ts';
import { tellExpiry } from '../../session/server-commands.ts';
import { Session } from '../../session/session.ts';
import { defineAction } from '../action.ts';
import { closeAllTimeoutMs } from '../closing.ts';
import { done, selectedClients, selection } from '../selection.ts';

export const refresh = defineAction({
  name: 'refresh',
  scope: 'manage',
  audit: 'info',
  timeoutMs: closeAllTimeoutMs,
  input: z.object({
    ...selection,
    /** Unix time in seconds; null: never. One that has passed closes them. */
    expiresAt: z.number().nullable(),
  }),
  ...done,
  run: async ({ clients, renew }, { expiresAt, ...chosen }) => {
    const end = expiresAt ?? Infinity;
    const hasPassed = end <= Date.now() / 1000;
    await inSlices(selectedClients(clients, chosen), (client) => {
      if (hasPassed) {
        client.close('token_expired');
      } else if (client.session instanceof Session) {
        renew(client, end + expiryGraceSeconds);
        tellExpiry(client.session, end);
      } else {
        renew(client, end);
      }
    });
    return {};
  },
});
