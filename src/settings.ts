/**
 * The settings: one table that the reader, `wshub --help` and the README are made from. A setting is one row: its
 * variable, default, sentence and check.
 */
import { availableParallelism } from 'node:os';
import { logLevels, type LogLevel } from './log.ts';
import {
  host,
  integer,
  oneOf,
  optionalInteger,
  origins,
  text,
  webAddress,
  yesNo,
  type Setting,
} from './setting-kinds.ts';

export const slowPolicies = ['disconnect', 'skip'] as const;
export type SlowPolicy = (typeof slowPolicies)[number];

/** Keeps the type of each row's value. */
const setting = <T>(row: Setting<T>): Setting<T> => row;

export const settingsTable = {
  host: setting({ ...host, env: 'WSHUB_HOST', default: '0.0.0.0', help: 'Address of the public port.' }),
  port: setting({
    ...integer(0, 65535),
    env: 'WSHUB_PORT',
    default: 8080,
    help: 'Public port: WebSockets and admin routes; 0 takes a free one.',
  }),
  opsHost: setting({
    ...host,
    env: 'WSHUB_OPS_HOST',
    default: '127.0.0.1',
    help: 'Address of the ops port.',
  }),
  opsPort: setting({
    ...integer(0, 65535),
    env: 'WSHUB_OPS_PORT',
    default: 9180,
    help: 'Ops port: probes and admin routes; 0 takes a free one.',
  }),
  workers: setting({
    ...integer(1, 256),
    env: 'WSHUB_WORKERS',
    default: availableParallelism(),
    defaultText: 'available CPUs',
    help: 'Number of worker processes.',
  }),
  runtimeDir: setting({
    ...text,
    env: 'WSHUB_RUNTIME_DIR',
    default: undefined,
    defaultText: '`$RUNTIME_DIRECTORY`, else a fresh directory in the temp folder',
    help: "Directory (mode 0700) of the workers' sockets and the generated admin token.",
    path: true,
  }),
  maxPayload: setting({
    ...integer(1, 16 * 1024 * 1024),
    env: 'WSHUB_MAX_PAYLOAD',
    default: 65536,
    help: 'Largest message, in bytes; a larger one closes its sender with 1009.',
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
    ...oneOf(slowPolicies),
    env: 'WSHUB_SLOW_POLICY',
    default: 'disconnect',
    help: 'What becomes of a slow client: `disconnect` (4100), or `skip` messages until it has caught up.',
  }),
  maxBatchDelayMs: setting({
    ...integer(0, 1_000),
    env: 'WSHUB_MAX_BATCH_DELAY_MS',
    default: 5,
    help: 'Milliseconds for which a busy channel with many members may collect messages; 0 never waits.',
  }),
  jwtSecretFile: setting({
    ...text,
    env: 'WSHUB_JWT_SECRET_FILE',
    default: undefined,
    defaultText: 'none',
    help: "File with the HMAC secret of clients' tokens, 32 bytes or more; with a key, every client needs a token.",
    path: true,
  }),
  jwtPublicKeyFile: setting({
    ...text,
    env: 'WSHUB_JWT_PUBLIC_KEY_FILE',
    default: undefined,
    defaultText: 'none',
    help: "File with the public key (PEM) of clients' tokens.",
    path: true,
  }),
  jwksUrl: setting({
    ...webAddress,
    env: 'WSHUB_JWKS_URL',
    default: undefined,
    defaultText: 'none',
    help: "URL of the key set (JWKS) of clients' tokens.",
  }),
  jwtAudience: setting({
    ...text,
    env: 'WSHUB_JWT_AUDIENCE',
    default: undefined,
    defaultText: 'any',
    help: "What a client's token must have as, or among, its `aud`.",
  }),
  jwtIssuer: setting({
    ...text,
    env: 'WSHUB_JWT_ISSUER',
    default: undefined,
    defaultText: 'any',
    help: "What a client's token must have as its `iss`.",
  }),
  allowedOrigins: setting({
    ...origins,
    env: 'WSHUB_ALLOWED_ORIGINS',
    default: [],
    defaultText: "the hub's own hostname",
    help: 'Origins whose web pages may connect besides its own, separated by commas; `*` lets all of them.',
  }),
  trustProxy: setting({
    ...integer(0, 16),
    env: 'WSHUB_TRUST_PROXY',
    default: 0,
    help: 'Number of proxies in front whose `X-Forwarded-For` and `X-Forwarded-Host` are believed; 0 ignores both.',
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
  handshakeTimeoutMs: setting({
    ...integer(100, 60_000),
    env: 'WSHUB_HANDSHAKE_TIMEOUT_MS',
    default: 10_000,
    help: 'Milliseconds that a client has from its TCP connection to the end of its request headers.',
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
  maxChannels: setting({
    ...integer(1, 100_000_000),
    env: 'WSHUB_MAX_CHANNELS',
    default: 500_000,
    help: 'Channels on the whole hub; a connection that would open one more is refused.',
  }),
  adminFailureLimit: setting({
    ...integer(0, 1_000_000),
    env: 'WSHUB_ADMIN_FAILURE_LIMIT',
    default: 20,
    help: 'Wrong admin tokens of one address per minute; then it must wait; 0 sets no limit.',
  }),
  handlers: setting({
    ...text,
    env: 'WSHUB_HANDLERS',
    default: undefined,
    defaultText: 'none',
    help: 'Module (.ts or .js) with your own functions.',
    path: true,
  }),
  handlerTimeoutMs: setting({
    ...integer(1, 3_600_000),
    env: 'WSHUB_HANDLER_TIMEOUT_MS',
    default: 10_000,
    help: 'Milliseconds that an async handler may take before its sender gets `handler_failed`.',
  }),
  pingIntervalMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_PING_INTERVAL_MS',
    default: 30_000,
    help: 'Milliseconds between two pings of a client; one that misses a whole interval is dropped.',
  }),
  drainSpreadMs: setting({
    ...integer(0, 3_600_000),
    env: 'WSHUB_DRAIN_SPREAD_MS',
    default: 30_000,
    help: 'Milliseconds over which a reload spreads the closes of the old workers.',
  }),
  stopSpreadMs: setting({
    ...integer(0, 600_000),
    env: 'WSHUB_STOP_SPREAD_MS',
    default: 3_000,
    help: 'Milliseconds over which a stop spreads its closes.',
  }),
  closeTimeoutMs: setting({
    ...integer(1, 9_000),
    env: 'WSHUB_CLOSE_TIMEOUT_MS',
    default: 5_000,
    help: 'Milliseconds that a client has to answer a close before its socket is destroyed.',
  }),
  workerMaxMemory: setting({
    ...integer(0, 2 ** 40),
    env: 'WSHUB_WORKER_MAX_MEMORY',
    default: 0,
    defaultText: '0, no limit',
    help: 'Resident bytes above which a worker is replaced, its clients drained as in a reload.',
  }),
  adminToken: setting({
    ...text,
    env: 'WSHUB_ADMIN_TOKEN',
    default: undefined,
    defaultText: 'generated at each start',
    help: 'Bearer token of the admin routes; a file is the better place for it.',
    secret: true,
  }),
  adminTokenFile: setting({
    ...text,
    env: 'WSHUB_ADMIN_TOKEN_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'File with the admin token; wins over `WSHUB_ADMIN_TOKEN`.',
    path: true,
  }),
  trustTraceparent: setting({
    ...yesNo,
    env: 'WSHUB_TRUST_TRACEPARENT',
    default: false,
    help: 'Continue the trace that a client names in `traceparent`; only where all clients are your own.',
  }),
  traceChannels: setting({
    ...yesNo,
    env: 'WSHUB_TRACE_CHANNELS',
    default: false,
    help: "Say in traces which channel it was; it is the clients' data.",
  }),
  logLevel: setting<LogLevel>({
    ...oneOf(logLevels),
    env: 'WSHUB_LOG_LEVEL',
    default: 'info',
    help: `Least level that is logged: ${logLevels.join(', ')}.`,
  }),
};

type Table = typeof settingsTable;
export type SettingName = keyof Table;
export type Settings = { readonly [K in SettingName]: Table[K] extends Setting<infer T> ? T : never };

/** One line per setting: variable, default, sentence. */
export function settingsRows(): { name: string; env: string; default: string; help: string }[] {
  return Object.entries<Setting<unknown>>(settingsTable).map(([name, row]) => ({
    name,
    env: row.env,
    default: row.defaultText ?? String(row.default),
    help: row.help,
  }));
}
