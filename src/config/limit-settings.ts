/**
 * The settings that bound what a client can take. docs/limits.md has a table of them: what happens over each, and where it
 * is counted.
 */
import { integer, enumOf, setting } from './setting-kinds.ts';

export const slowPolicies = ['disconnect', 'skip'] as const;
export type SlowPolicy = (typeof slowPolicies)[number];

export const limitSettings = {
  maxPayload: setting({
    ...integer(1, 16 * 1024 * 1024),
    env: 'WSHUB_MAX_PAYLOAD',
    default: 65536,
    help: 'Largest message, in bytes; a larger one closes its sender with 1009.',
  }),
  maxCommandBytes: setting({
    ...integer(1024, 16 * 1024 * 1024),
    env: 'WSHUB_MAX_COMMAND_BYTES',
    default: 256 * 1024,
    help: 'Largest WebSocket message of a Centrifugal SDK, in bytes, which may have many commands; a larger one closes its sender with 1009.',
  }),
  maxBatchBytes: setting({
    ...integer(1024, 16 * 1024 * 1024),
    env: 'WSHUB_MAX_BATCH_BYTES',
    default: 4 * 1024 * 1024,
    help: 'Largest body of `POST /publish`, in bytes; each of its messages may have `maxPayload`.',
  }),
  maxMessagePieces: setting({
    ...integer(16, 1_000_000),
    env: 'WSHUB_MAX_MESSAGE_PIECES',
    default: 1_024,
    help: 'Maximum fragments per message, and socket reads it may arrive in beyond `maxPayload`/256; exceeding it closes the sender with 1008.',
  }),
  messageRate: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_MESSAGE_RATE',
    default: 500,
    help: 'Messages, pings and pongs per client and second; those above it are refused with `rate_limited`; `0` sets no limit.',
  }),
  messageBurst: setting({
    ...integer(1, 1_000_000),
    env: 'WSHUB_MESSAGE_BURST',
    default: 1_000,
    help: 'Messages that a client may send at once after a quiet period.',
  }),
  byteRate: setting({
    ...integer(0, 1024 * 1024 * 1024),
    env: 'WSHUB_BYTE_RATE',
    default: 16 * 1024 * 1024,
    help: 'Message bytes per client and second, twice of which may come at once; `0` sets no limit.',
  }),
  invalidMessageLimit: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_INVALID_MESSAGE_LIMIT',
    default: 20,
    help: 'Number of messages within 10 s that are not JSON text at which their sender is closed with 1008; `0` sets no limit.',
  }),
  outboxMaxBytes: setting({
    ...integer(1024, 1024 * 1024 * 1024),
    env: 'WSHUB_OUTBOX_MAX_BYTES',
    default: 1024 * 1024,
    help: 'Bytes that may be queued for one client; above it the slow policy applies.',
  }),
  outboxSoftBytes: setting({
    ...integer(0, 1024 * 1024 * 1024),
    env: 'WSHUB_OUTBOX_SOFT_BYTES',
    default: 256 * 1024,
    help: 'Bytes queued for one client above which it counts as slow; at most `outboxMaxBytes`.',
  }),
  outboxSoftMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_OUTBOX_SOFT_MS',
    default: 10_000,
    help: 'Time for which a client may be slow before the slow policy applies, in ms.',
  }),
  slowPolicy: setting<SlowPolicy>({
    ...enumOf(slowPolicies),
    env: 'WSHUB_SLOW_POLICY',
    default: 'disconnect',
    help: 'What happens to a slow client: `disconnect` closes it with 4100, `skip` leaves messages out until it has caught up.',
  }),
  maxConnections: setting<number | undefined>({
    ...integer(1, 1_000_000),
    env: 'WSHUB_MAX_CONNECTIONS',
    default: undefined,
    defaultText: 'the limit of open files less a reserve',
    help: 'Maximum connections per worker; the limit of open files is never exceeded.',
  }),
  maxConnectionsPerAddress: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_MAX_CONNECTIONS_PER_ADDRESS',
    default: 0,
    help: 'Maximum connections of one address (or one /64 of IPv6) per worker; `0` sets no limit.',
  }),
  connectRate: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_CONNECT_RATE',
    default: 2_000,
    help: 'New connections per second and worker, five seconds of which may come at once; `0` sets no limit.',
  }),
  connectRatePerAddress: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_CONNECT_RATE_PER_ADDRESS',
    default: 2_000,
    help: 'New connections per second and worker from one address, five seconds of which may come at once; `0` sets no limit.',
  }),
  maxChannels: setting({
    ...integer(1, 100_000_000),
    env: 'WSHUB_MAX_CHANNELS',
    default: 500_000,
    help: 'Maximum channels of the whole hub; a connection that would open one more is refused.',
  }),
  maxSubscriptions: setting({
    ...integer(1, 100_000),
    env: 'WSHUB_MAX_SUBSCRIPTIONS',
    default: 128,
    help: 'Maximum channels of one connection of a Centrifugal SDK; one more gets error 106.',
  }),
  handshakeTimeoutMs: setting({
    ...integer(100, 60_000),
    env: 'WSHUB_HANDSHAKE_TIMEOUT_MS',
    default: 10_000,
    help: "Time limit from a client's TCP connection to the end of its request headers, in ms.",
  }),
  maxHeaderBytes: setting({
    ...integer(4_096, 1024 * 1024),
    env: 'WSHUB_MAX_HEADER_BYTES',
    default: 16 * 1024,
    help: 'Largest request line and headers, in bytes.',
  }),
  requestTimeoutMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_REQUEST_TIMEOUT_MS',
    default: 30_000,
    help: 'Time limit for receiving an HTTP request with its body, in ms; `handshakeTimeoutMs` if that is longer.',
  }),
  answerTimeoutMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_ANSWER_TIMEOUT_MS',
    default: 60_000,
    help: 'Time limit for delivering an HTTP response, in ms; slower readers are disconnected.',
  }),
  maxPipelinedRequests: setting({
    ...integer(1, 10_000),
    env: 'WSHUB_MAX_PIPELINED_REQUESTS',
    default: 16,
    help: 'Unanswered HTTP requests per connection; one more ends it with 429.',
  }),
  maxOpsConnections: setting({
    ...integer(2, 1_000_000),
    env: 'WSHUB_MAX_OPS_CONNECTIONS',
    default: 256,
    help: "Maximum connections to the ops port, which share the primary's descriptors with the public port and new workers.",
  }),
  closeTimeoutMs: setting({
    ...integer(1, 9_000),
    env: 'WSHUB_CLOSE_TIMEOUT_MS',
    default: 5_000,
    help: 'Time that a client has to answer a close or to read a refusal before its socket is destroyed, in ms.',
  }),
  adminFailureLimit: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_ADMIN_FAILURE_LIMIT',
    default: 20,
    help: 'Wrong admin tokens and API keys per address and minute before it must wait; `0` sets no limit.',
  }),
};
