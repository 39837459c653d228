/** Shared by the actions that close connections. */
import { z } from 'zod';
import type { Client, Subscription } from '../client/client.ts';
import { HubError } from '../platform/errors.ts';
import { inSlices } from '../platform/slices.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { closeText } from '../protocol/plain/close-codes.ts';
import type { WorkerPart } from './action.ts';

/** A close takes 100 µs, and a channel or user may have 100 000 connections. */
export const closeAllTimeoutMs = 45_000;

/** The number of connections that a worker closed. */
export const closedPart = z.object({ closed: z.int().min(0) });

/** A close code of a back end, with its text. */
export interface OwnClose {
  readonly code: number;
  readonly reason: string;
}

/** Closes the connections that are still open. @returns their number */
export async function closeAll(
  connections: Iterable<Client>,
  reason: CloseReason | OwnClose,
): Promise<number> {
  let closed = 0;
  await inSlices(connections, (connection) => {
    if (connection.state !== 'open') return;
    if (typeof reason === 'string') connection.close(reason);
    else connection.closeWith(reason.code, closeText(reason.reason));
    closed += 1;
  });
  return closed;
}

/** Ends the subscriptions of clients that are still open. @returns their number */
export async function endSubscriptions(
  subscriptions: Iterable<Subscription>,
  reason: CloseReason,
): Promise<number> {
  let ended = 0;
  await inSlices(subscriptions, (subscription) => {
    if (subscription.client.state !== 'open') return;
    subscription.client.endSubscription(subscription, reason);
    ended += 1;
  });
  return ended;
}

/** @throws {HubError} `not_found` with this message, if no worker closed a connection */
export function totalClosed(
  parts: readonly WorkerPart<z.infer<typeof closedPart>>[],
  absent: string,
): number {
  const closed = parts.reduce((sum, { part }) => sum + part.closed, 0);
  if (closed === 0) throw new HubError('not_found', absent);
  return closed;
}
