/**
 * The messages of the hub in the plain protocol: JSON in text messages. A connection has one channel, the one of its
 * path. Only this file knows the form of these messages.
 */
import type { PresenceList, PresentMember } from '../../channel/member.ts';
import type { Position } from '../../channel/position.ts';
import { senderOf, type Publication, type StoredInfo } from '../../channel/publication.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import { errorBody } from '../../platform/errors.ts';
import { closeCodes } from './close-codes.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { Protocol } from '../protocol.ts';

export interface Connected {
  readonly connectionId: string;
  readonly workerId: string;
  readonly channel: string;
  /** the position after which this connection gets every publication; null: the channel has no history */
  readonly position: Position | null;
  /** whether the publications after the requested position follow; null: no position was requested */
  readonly recovered: boolean | null;
}

/** The plain protocol, whatever delimits its messages. */
export interface ChannelProtocol extends Protocol {
  /** Sent once the client is subscribed. */
  connected(connected: Connected): Buffer;
  /** Sent after `connected` to a client with `presence=true`. */
  presence(list: PresenceList): Buffer;
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

/** Wraps a publication in its envelope. Messages of the hub stay unchanged. */
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

/** The clients of the channel when a client joins, including itself. */
export function presenceMessage({ members, truncated }: PresenceList): string {
  const clients = members.map((member) => `{${memberFields(member)}}`).join(',');
  return `{"status":"presence","clients":[${clients}],"truncated":${truncated}}`;
}

/** Sent when a member has joined or left the channel. */
export function memberMessage(status: 'joined' | 'left', member: PresentMember): string {
  return `{"status":"${status}",${memberFields(member)}}`;
}

function memberFields({ connectionId, user, info }: PresentMember): string {
  const userField = user === '' ? '' : `,"user":${JSON.stringify(user)}`;
  return `"connectionId":"${connectionId}"${userField}${info === '' ? '' : `,"info":${info}`}`;
}

/** Sent before the hub closes a connection. */
export function disconnectedMessage(reason: CloseReason, code: number = closeCodes[reason]): string {
  return JSON.stringify({ status: 'disconnected', reason, code });
}

/** Sent to a client that was slow and has caught up: `count` messages were skipped. */
export function skippedMessage(count: number): string {
  return JSON.stringify({ status: 'skipped', count });
}

/** Sent when the worker is about to end: the client should reconnect after a random time between these two. */
export function drainingMessage(reconnect: { minMs: number; maxMs: number }): string {
  return JSON.stringify({
    status: 'draining',
    reconnect: { minMs: reconnect.minMs, maxMs: reconnect.maxMs },
  });
}

/** Values of `status` that are reserved for the hub, including future ones. */
const reservedStatuses: ReadonlySet<unknown> = new Set([
  'connected',
  'disconnected',
  'draining',
  'skipped',
  'presence',
  'joined',
  'left',
]);

/** Returns whether subscribers could mistake the message (parsed JSON) of a client for a message of the hub. */
export function isReserved(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { status, error } = value as { status?: unknown; error?: unknown };
  return (
    (status !== undefined && reservedStatuses.has(status)) ||
    (typeof error === 'object' && error !== null && 'code' in error)
  );
}

/** Sent only to the sender of a message that was not accepted. */
export function errorMessage(code: ErrorCode, message?: string): string {
  return JSON.stringify(errorBody(code, message));
}
