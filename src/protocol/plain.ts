/**
 * The plain protocol: a connection holds the one channel of its path; what the hub says is JSON in text messages.
 * This is the only file that knows the hub's own messages.
 */
import type { ErrorCode } from '../errors.ts';
import { errorBody } from '../errors.ts';
import { closeCodes, type CloseReason } from './close-codes.ts';

export function connectedMessage(connectionId: string, workerId: string, channel: string): string {
  return JSON.stringify({ status: 'connected', connectionId, workerId, channel });
}

/** Sent before the hub closes a connection by itself. */
export function disconnectedMessage(reason: CloseReason): string {
  return JSON.stringify({ status: 'disconnected', reason, code: closeCodes[reason] });
}

/** Sent to a client that was too slow and has caught up: so many messages it did not get. */
export function skippedMessage(count: number): string {
  return JSON.stringify({ status: 'skipped', count });
}

/** Sent to the sender of a message that was not accepted, and to nobody else. */
export function errorMessage(code: ErrorCode, message?: string): string {
  return JSON.stringify(errorBody(code, message));
}
