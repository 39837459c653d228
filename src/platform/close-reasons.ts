/** Reasons for which the hub closes a connection. Each protocol maps them to its own codes. */
export const closeReasons = [
  'going_away',
  'protocol_error',
  'invalid_utf8',
  'policy_violation',
  'message_too_big',
  'restarting',
  'overloaded',
  'connection_killed',
  'channel_deleted',
  'forbidden',
  'unauthorized',
  'slow_consumer',
  'rate_limited',
  'too_many_connections',
  'token_expired',
  'insufficient_state',
] as const;

export type CloseReason = (typeof closeReasons)[number];
