/** A connection in the answers of admin routes. */
import { z } from 'zod';
import type { Client } from '../client/client.ts';

export const connectionSummary = z.object({
  connectionId: z.string(),
  workerId: z.string(),
  /** when it was opened, ISO 8601 */
  since: z.string(),
  remoteAddress: z.string(),
  /** bytes queued for the client */
  bufferedBytes: z.number(),
  /** the `sub` of its token */
  user: z.string().exactOptional(),
});

export function summaryOf(connection: Client, workerId: string): z.infer<typeof connectionSummary> {
  const { id, since, remoteAddress, bufferedBytes, user } = connection;
  return {
    connectionId: id,
    workerId,
    since: new Date(since).toISOString(),
    remoteAddress,
    bufferedBytes,
    ...(user === null ? {} : { user }),
  };
}
