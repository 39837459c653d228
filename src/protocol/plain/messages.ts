/**
 * The plain protocol: a connection holds the one channel of its path; what the hub says is JSON in text messages.
 * This is the only file that knows the hub's own messages.
 */
import type { ErrorCode } from '../../platform/errors.ts';
import { errorBody } from '../../platform/errors.ts';
import { closeCodes } from './close-codes.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';

export function connectedMessage(connectionId: string, workerId: string, channel: string): string {
  return JSON.stringify({ status: 'connected', connectionId, workerId, channel });
}

/** Sent before the hub closes a connection by itself. */
export function disconnectedMessage(reason: CloseReason, code: number = closeCodes[reason]): string {
  return JSON.stringify({ status: 'disconnected', reason, code });
}

/** Sent to a client that was too slow and has caught up: so many messages it did not get. */
export function skippedMessage(count: number): string {
  return JSON.stringify({ status: 'skipped', count });
}

/** Sent when the worker is about to be replaced: come back after a random time between these two. */
export function drainingMessage(reconnect: { minMs: number; maxMs: number }): string {
  return JSON.stringify({
    status: 'draining',
    reconnect: { minMs: reconnect.minMs, maxMs: reconnect.maxMs },
  });
}

/** A `status` that only the hub's own messages have, also those that it does not send yet. */
const reservedStatuses: ReadonlySet<unknown> = new Set([
  'connected',
  'disconnected',
  'draining',
  'skipped',
  'presence',
  'joined',
  'left',
]);

/** Tells whether subscribers would take a client's message (parsed JSON) for one of the hub's own. */
export function isReserved(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { status, error } = value as { status?: unknown; error?: unknown };
  return (
    (status !== undefined && reservedStatuses.has(status)) ||
    (typeof error === 'object' && error !== null && 'code' in error)
  );
}

/** Sent to the sender of a message that was not accepted, and to nobody else. */
export function errorMessage(code: ErrorCode, message?: string): string {
  return JSON.stringify(errorBody(code, message));
}
