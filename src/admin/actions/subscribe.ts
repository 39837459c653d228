/** Subscribes the sessions of a user, or one, to a channel. Connections of the plain protocol have one channel, and keep it. */
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { inSlices } from '../../platform/slices.ts';
import { CommandFailure } from '../../session/command-failure.ts';
import { subscribeClient } from '../../session/server-commands.ts';
import { Session } from '../../session/session.ts';
import { defineAction } from '../action.ts';
import { done, selectedClients, selection } from '../selection.ts';

export const subscribe = defineAction({
  name: 'subscribe',
  scope: 'manage',
  byChannel: true,
  audit: 'info',
  timeoutMs: 10_000,
  input: z.object({
    ...selection,
    channel: z.string(),
    /** see ServerSubscription */
    channelInfo: z.string(),
    data: z.string(),
    /** Unix time in seconds; null: never */
    expiresAt: z.number().nullable(),
    since: z.object({ epoch: z.string(), offset: z.int() }).nullable(),
  }),
  ...done,
  run: async ({ hub, clients }, { channel, expiresAt, ...input }) => {
    hub.optionsOf(channel); // may throw
    const wanted = { ...input, expiresAt: expiresAt ?? Infinity };
    const joins: Promise<void>[] = [];
    await inSlices(selectedClients(clients, input), ({ session }) => {
      if (session instanceof Session) joins.push(subscribeClient(session, channel, wanted));
    });
    try {
      await Promise.all(joins);
    } catch (cause) {
      if (!(cause instanceof CommandFailure)) throw cause;
      throw new HubError('too_many_channels', 'a client has WSHUB_MAX_SUBSCRIPTIONS channels', { cause });
    }
    return {};
  },
});
