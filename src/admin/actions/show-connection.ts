/** Shows one connection, whichever worker it is on. */
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { defineAction, onMachine } from '../action.ts';
import { connectionSummary, summaryOf } from '../connection-summary.ts';

export const showConnection = defineAction({
  name: 'show_connection',
  routes: [{ method: 'GET', path: '/connections/:id' }],
  scope: 'read',
  audit: 'debug',
  input: z.object({ connectionId: z.string() }),
  read: (request) => ({ connectionId: request.parameter('id') }),
  part: z.object({
    /** null: not on this worker */
    connection: connectionSummary.extend({ channels: z.array(z.string()) }).nullable(),
  }),
  run: ({ hub, clients }, { connectionId }) => {
    const connection = clients.get(connectionId);
    if (connection?.state !== 'open') return { connection: null };
    const channels = connection.subscriptions.map(({ channel }) => channel.name);
    return { connection: { ...summaryOf(connection, hub.workerId), channels } };
  },
  merge: (parts) => {
    for (const { worker, part } of parts) {
      if (part.connection) return { ...part.connection, ...onMachine(worker) };
    }
    throw new HubError('not_found', 'there is no such connection');
  },
});
