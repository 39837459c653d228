/** Empties the history of a channel. Its position stays, and subscribers notice nothing. */
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { defineSingleAction } from '../action.ts';

const answer = z.object({ channel: z.string(), epoch: z.string(), offset: z.int() });

export const removeHistory = defineSingleAction({
  name: 'remove_history',
  routes: [{ method: 'DELETE', path: '/channels/:channel/history' }],
  scope: 'manage',
  byChannel: true,
  audit: 'info',
  /** more than a worker waits for the broker */
  timeoutMs: 6_000,
  isRepeatable: true,
  input: z.object({ channel: z.string() }),
  read: (request) => ({ channel: request.channel() }),
  answer,
  run: ({ hub }, { channel }) =>
    new Promise<z.infer<typeof answer>>((resolve, reject) => {
      hub.removeHistory(channel, (top) => {
        if (top) resolve({ channel, ...top });
        else reject(new HubError('worker_timeout', 'the broker did not answer in time; outcome unknown'));
      });
    }),
});
