/** The connections that an action is about: all of a user, or one. */
import { z } from 'zod';
import type { Client } from '../client/client.ts';
import type { WorkerParts } from './action.ts';

export const selection = {
  /** `''`: any */
  user: z.string(),
  /** a connection id; `''`: all connections of the user */
  client: z.string(),
};

/** Returns those of this worker that are open. */
export function selectedClients(
  clients: WorkerParts['clients'],
  { user, client }: { user: string; client: string },
): Client[] {
  const one = clients.get(client);
  const named = client === '' ? clients.ofUser(user) : one ? [one] : [];
  return named.filter(
    (connection) => connection.state === 'open' && (user === '' || connection.user === user),
  );
}

/** The answer to an action that has nothing to tell. */
export const done = { part: z.object({}), merge: () => ({}) };
