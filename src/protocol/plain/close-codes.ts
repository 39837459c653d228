/**
 * The close codes of the plain protocol. The range of a code tells a client what to do: 4000-4099 is final, 4100-4199
 * come back after a pause, 4200-4299 come back at once; 1000-1999 are RFC 6455 section 7.4.1.
 */
import type { CloseReason } from '../../platform/close-reasons.ts';

export const closeCodes = {
  going_away: 1001,
  protocol_error: 1002,
  invalid_utf8: 1007,
  policy_violation: 1008,
  message_too_big: 1009,
  restarting: 1012,
  overloaded: 1013,
  connection_killed: 4000,
  channel_deleted: 4001,
  forbidden: 4002,
  unauthorized: 4004,
  slow_consumer: 4100,
  rate_limited: 4101,
  too_many_connections: 4102,
  token_expired: 4103,
  insufficient_state: 4201,
} as const satisfies Record<CloseReason, number>;

/** The payload of a control frame is 125 bytes at most (RFC 6455 section 5.5), of which the code takes two. */
const maxTextBytes = 123;

/** A reason as it fits into a close frame: what exceeds it is cut off, between two characters. */
export function closeText(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= maxTextBytes) return reason;
  let end = maxTextBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1; // within a character of UTF-8
  return bytes.toString('utf8', 0, end);
}
