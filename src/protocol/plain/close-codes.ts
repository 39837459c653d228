/**
 * The close codes of the plain protocol. The range of a code tells a client what to do:
 * - 4000 to 4099: final, do not reconnect
 * - 4100 to 4199: reconnect after a pause
 * - 4200 to 4299: reconnect at once
 * - 1000 to 1999: see RFC 6455 section 7.4.1
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

/** The payload of a control frame has at most 125 bytes (RFC 6455 section 5.5). The code takes two of them. */
const maxTextBytes = 123;

/** Returns a reason cut to the size of a close frame, at a character boundary. */
export function closeText(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= maxTextBytes) return reason;
  let end = maxTextBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1; // inside a UTF-8 sequence
  return bytes.toString('utf8', 0, end);
}
