/**
 * The codes of the Centrifugal protocol, and the mapping of the hub's errors and close reasons to them. The range of a close
 * code tells an SDK what to do: it reconnects after 3000 to 3499 and 4000 to 4499, and stays away after 3500 to 3999 and
 * 4500 to 4999.
 */
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import type { ReplyError } from './messages.ts';

export const replyErrors = {
  internal: { code: 100, message: 'internal server error', temporary: true },
  unknownChannel: { code: 102, message: 'unknown channel' },
  permissionDenied: { code: 103, message: 'permission denied' },
  methodNotFound: { code: 104, message: 'method not found' },
  limitExceeded: { code: 106, message: 'limit exceeded' },
  badRequest: { code: 107, message: 'bad request' },
  notAvailable: { code: 108, message: 'not available' },
  tokenExpired: { code: 109, message: 'token expired' },
  tooManyRequests: { code: 111, message: 'too many requests', temporary: true },
  unrecoverablePosition: { code: 112, message: 'unrecoverable position' },
} as const satisfies Record<string, ReplyError>;

/** The reply errors of error codes; all others are `internal`. */
const byErrorCode: Partial<Record<ErrorCode, ReplyError>> = {
  bad_channel: replyErrors.badRequest,
  bad_json: replyErrors.badRequest,
  bad_request: replyErrors.notAvailable, // a channel without history
  reserved_message: { ...replyErrors.badRequest, message: 'reserved message' },
  unknown_namespace: replyErrors.unknownChannel,
  forbidden: replyErrors.permissionDenied,
  message_too_big: { ...replyErrors.limitExceeded, message: 'message too big' },
  rate_limited: replyErrors.tooManyRequests,
  too_many_channels: replyErrors.tooManyRequests,
};

export function replyErrorOf(code: ErrorCode): ReplyError {
  return byErrorCode[code] ?? replyErrors.internal;
}

/** Close codes by reason. A reason on one subscription is an unsubscribe code instead, see below. */
export const closeCodes = {
  going_away: 3001,
  restarting: 3001,
  overloaded: 3013,
  rate_limited: 3013,
  too_many_connections: 3013,
  token_expired: 3005,
  slow_consumer: 3008,
  insufficient_state: 3010,
  unauthorized: 3500,
  protocol_error: 3501,
  invalid_utf8: 3501,
  policy_violation: 3501,
  connection_killed: 3503,
  channel_deleted: 3503,
  forbidden: 3507,
  message_too_big: 1009,
} as const satisfies Record<CloseReason, number>;

/** Closes without a reason in the hub's own table. */
export const disconnects = {
  connectionExpired: { code: 3005, reason: 'connection expired' },
  subscriptionExpired: { code: 3006, reason: 'subscription expired' },
  noPong: { code: 3012, reason: 'no pong' },
  invalidToken: { code: 3500, reason: 'invalid token' },
  badRequest: { code: 3501, reason: 'bad request' },
  stale: { code: 3502, reason: 'stale' },
  channelLimit: { code: 3505, reason: 'channel limit' },
  notAvailable: { code: 3508, reason: 'not available' },
} as const satisfies Record<string, Disconnect>;

export interface Disconnect {
  readonly code: number;
  readonly reason: string;
}

/** Codes of the push that ends one subscription. From 2500 on an SDK subscribes again, from its position. */
export const unsubscribes = {
  server: { code: 2000, reason: 'server unsubscribe' },
  insufficientState: { code: 2500, reason: 'insufficient state' },
  expired: { code: 2501, reason: 'subscription expired' },
} as const satisfies Record<string, Disconnect>;

/** Bits of `flag` in a subscribe command. */
export const subscribeFlags = {
  /** answer 112 instead of a subscription that is not recovered */
  refuseUnrecovered: 2,
} as const;
