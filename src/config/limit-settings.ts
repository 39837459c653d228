/**
 * The settings that bound what a client can take. docs/limits.md has a table of them: what happens over each, and where it
 * is counted.
 */
import { integer, enumOf, optionalInteger, setting } from './setting-kinds.ts';

export const slowPolicies = ['disconnect', 'skip'] as const;
export type SlowPolicy = (typeof slowPolicies)[number];

export const limitSettings = {
  maxPayload: setting({
    ...integer(1, 16 * 1024 * 1024),
    env: 'WSHUB_MAX_PAYLOAD',
    default: 65536,
    help: 'Largest message, in bytes; a larger one closes its sender with 1009.',
  }),
  maxMessagePieces: setting({
    ...integer(16, 1_000_000),
    env: 'WSHUB_MAX_MESSAGE_PIECES',
    default: 1_024,
    help: 'Fragments of one message; and reads in which it comes, besides one for each 256 bytes of `maxPayload`; over it 1008.',
  }),
  messageRate: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_MESSAGE_RATE',
    default: 500,
    help: 'Messages, pings and pongs of one client per second; those over it are refused with `rate_limited`; 0 sets no limit.',
  }),
  messageBurst: setting({
    ...integer(1, 1_000_000),
    env: 'WSHUB_MESSAGE_BURST',
    default: 1_000,
    help: 'Messages of one client that may come at once after a quiet time.',
  }),
  byteRate: setting({
    ...integer(0, 1024 * 1024 * 1024),
    env: 'WSHUB_BYTE_RATE',
    default: 16 * 1024 * 1024,
    help: 'Bytes in messages of one client per second, twice of which may come at once; 0 sets no limit.',
  }),
  invalidMessageLimit: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_INVALID_MESSAGE_LIMIT',
    default: 20,
    help: 'So many messages in 10 s that are not JSON text close the connection with 1008; 0 sets no limit.',
  }),
  outboxMaxBytes: setting({
    ...integer(1024, 1024 * 1024 * 1024),
    env: 'WSHUB_OUTBOX_MAX_BYTES',
    default: 1024 * 1024,
    help: 'Bytes that may wait for one client; over it the slow policy acts.',
  }),
  outboxSoftBytes: setting({
    ...integer(0, 1024 * 1024 * 1024),
    env: 'WSHUB_OUTBOX_SOFT_BYTES',
    default: 256 * 1024,
    help: 'Bytes that may wait for one client before it counts as slow; at most `outboxMaxBytes`.',
  }),
  outboxSoftMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_OUTBOX_SOFT_MS',
    default: 10_000,
    help: 'Milliseconds that a client may be slow before the slow policy acts.',
  }),
  slowPolicy: setting<SlowPolicy>({
    ...enumOf(slowPolicies),
    env: 'WSHUB_SLOW_POLICY',
    default: 'disconnect',
    help: 'What becomes of a slow client: `disconnect` (4100), or `skip` messages until it has caught up.',
  }),
  maxConnections: setting<number | undefined>({
    ...optionalInteger(1, 1_000_000),
    env: 'WSHUB_MAX_CONNECTIONS',
    default: undefined,
    defaultText: 'the limit of open files less a reserve',
    help: 'Connections that one worker may have; more than its limit of open files allows are never let in.',
  }),
  maxConnectionsPerAddress: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_MAX_CONNECTIONS_PER_ADDRESS',
    default: 0,
    help: 'Connections that one address (or one /64 of IPv6) may have on one worker; 0 sets no limit.',
  }),
  connectRate: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_CONNECT_RATE',
    default: 2_000,
    help: 'New connections per second and worker, five seconds of which may come at once; 0 sets no limit.',
  }),
  connectRatePerAddress: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_CONNECT_RATE_PER_ADDRESS',
    default: 2_000,
    help: 'The same for one address; 0 sets no limit.',
  }),
  maxChannels: setting({
    ...integer(1, 100_000_000),
    env: 'WSHUB_MAX_CHANNELS',
    default: 500_000,
    help: 'Channels on the whole hub; a connection that would open one more is refused.',
  }),
  handshakeTimeoutMs: setting({
    ...integer(100, 60_000),
    env: 'WSHUB_HANDSHAKE_TIMEOUT_MS',
    default: 10_000,
    help: 'Milliseconds that a client has from its TCP connection to the end of its request headers.',
  }),
  maxHeaderBytes: setting({
    ...integer(4_096, 1024 * 1024),
    env: 'WSHUB_MAX_HEADER_BYTES',
    default: 16 * 1024,
    help: "Bytes of a request's line and headers.",
  }),
  requestTimeoutMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_REQUEST_TIMEOUT_MS',
    default: 30_000,
    help: 'Milliseconds that an HTTP request has to come whole, with its body; `handshakeTimeoutMs` if that is more.',
  }),
  answerTimeoutMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_ANSWER_TIMEOUT_MS',
    default: 60_000,
    help: 'Milliseconds from an HTTP request to the end of its answer; who has not taken it then is cut off.',
  }),
  maxPipelinedRequests: setting({
    ...integer(1, 10_000),
    env: 'WSHUB_MAX_PIPELINED_REQUESTS',
    default: 16,
    help: 'HTTP requests of one connection that may wait for their answers; one more ends it with 429.',
  }),
  maxOpsConnections: setting({
    ...integer(2, 1_000_000),
    env: 'WSHUB_MAX_OPS_CONNECTIONS',
    default: 256,
    help: 'Connections to the ops port; the primary needs its descriptors for the public port and for new workers.',
  }),
  closeTimeoutMs: setting({
    ...integer(1, 9_000),
    env: 'WSHUB_CLOSE_TIMEOUT_MS',
    default: 5_000,
    help: 'Milliseconds that a client has to answer a close, or to take a refusal, before its socket is destroyed.',
  }),
  adminFailureLimit: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_ADMIN_FAILURE_LIMIT',
    default: 20,
    help: 'Wrong admin tokens of one address per minute; then it must wait; 0 sets no limit.',
  }),
};
