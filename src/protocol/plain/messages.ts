/**
 * The plain protocol: a connection holds the one channel of its path; what the hub says is JSON in text messages.
 * This is the only file that knows the hub's own messages.
 */
import type { Position } from '../../channel/position.ts';
import { senderOf, type Publication, type StoredInfo } from '../../channel/publication.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import { errorBody } from '../../platform/errors.ts';
import { closeCodes } from './close-codes.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';

export interface Connected {
  readonly connectionId: string;
  readonly workerId: string;
  readonly channel: string;
  /** the position from which this connection sees everything; null: the channel has no history */
  readonly position: Position | null;
  /** whether the publications after the requested position follow; null: none was requested */
  readonly recovered: boolean | null;
}

/** The first message of a connection. */
export function connectedMessage({ position, recovered, ...names }: Connected): string {
  const history = position === null ? {} : { epoch: position.epoch, offset: position.offset };
  return JSON.stringify({
    status: 'connected',
    ...names,
    ...history,
    ...(recovered === null ? {} : { recovered }),
  });
}

/** A publication with what is known of it around it; the hub's own messages stay as they are. */
export function enveloped(channel: string, publication: Publication): { readonly payload: Buffer } {
  const { payload, stored, isNotice } = publication;
  if (isNotice) return publication;
  const rest = stored === null ? '' : `,${JSON.stringify(storedFields(stored)).slice(1, -1)}`;
  return {
    payload: Buffer.concat([
      Buffer.from(`{"channel":${JSON.stringify(channel)},"data":`),
      payload,
      Buffer.from(`${rest}}`),
    ]),
  };
}

function storedFields({ position: { offset, epoch }, meta }: StoredInfo) {
  const sender = senderOf(meta);
  return {
    offset,
    epoch,
    ...(sender && { connectionId: sender.id }),
    ...(sender?.user != null && { user: sender.user }),
  };
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
