/**
 * The settings: one table that the reader, `wshub --help` and docs/configuration.md are made from. A setting is one row: its
 * variable, default, sentence and check.
 */
import { availableParallelism } from 'node:os';
import { limitSettings } from './limit-settings.ts';
import { namespaceEntries } from './namespaces.ts';
import { logLevels, type LogLevel } from '../platform/log.ts';
import { logFormats, type LogFormat } from '../platform/log-format.ts';
import {
  host,
  integer,
  enumOf,
  origins,
  setting,
  text,
  trustedProxies,
  url,
  boolean,
  type Setting,
} from './setting-kinds.ts';

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
    help: "Directory (mode 0700) of the workers' sockets and the generated admin token; in one that others may write to, a folder is made.",
    path: true,
  }),
  ...limitSettings,
  maxBatchDelayMs: setting({
    ...integer(0, 1_000),
    env: 'WSHUB_MAX_BATCH_DELAY_MS',
    default: 5,
    help: 'Milliseconds for which a busy, large channel may collect messages (times workers per CPU, if above 1); 0 never waits.',
  }),
  namespaces: setting({
    ...namespaceEntries,
    env: 'WSHUB_NAMESPACES',
    default: [],
    defaultText: 'none',
    help: 'Options of channels by the part of their name before the first colon, as JSON (a list in the file); docs/namespaces.md has them.',
  }),
  strictNamespaces: setting({
    ...boolean,
    env: 'WSHUB_STRICT_NAMESPACES',
    default: false,
    help: 'Refuse channels whose prefix is no declared namespace; `false`: they belong to the default namespace.',
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
    ...url,
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
  jwtLeewayMs: setting({
    ...integer(0, 600_000),
    env: 'WSHUB_JWT_LEEWAY_MS',
    default: 30_000,
    help: "Milliseconds by which the clock of a token's issuer may differ when its `nbf` and `exp` are checked.",
  }),
  jwtMaxTtlMs: setting({
    ...integer(0, 1_000_000_000_000),
    env: 'WSHUB_JWT_MAX_TTL_MS',
    default: 0,
    defaultText: '0, any',
    help: 'Milliseconds for which a token may still be valid when its client connects; with it, every token needs an `exp`.',
  }),
  allowedOrigins: setting({
    ...origins,
    env: 'WSHUB_ALLOWED_ORIGINS',
    default: [],
    defaultText: "the hub's own hostname",
    help: 'Origins whose web pages may connect besides its own, separated by commas: `https://app.example`, `https://*.app.example`, `capacitor://localhost`, `null`; `*` lets all of them.',
  }),
  trustProxy: setting({
    ...trustedProxies(16),
    env: 'WSHUB_TRUST_PROXY',
    default: 0,
    help: 'Proxies in front whose `X-Forwarded-For` and `X-Forwarded-Host` are believed: their number, or their addresses and ranges (`10.0.0.0/8`, `loopback`, `linklocal`, `uniquelocal`), separated by commas; 0 ignores both headers.',
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
  adminPublic: setting({
    ...boolean,
    env: 'WSHUB_ADMIN_PUBLIC',
    default: true,
    help: 'Admin routes stand on the public port too; `false` leaves them to the ops port.',
  }),
  trustTraceparent: setting({
    ...boolean,
    env: 'WSHUB_TRUST_TRACEPARENT',
    default: false,
    help: 'Continue the trace that a client names in `traceparent`; only where all clients are your own.',
  }),
  traceChannels: setting({
    ...boolean,
    env: 'WSHUB_TRACE_CHANNELS',
    default: false,
    help: "Say in traces which channel it was; it is the clients' data.",
  }),
  logLevel: setting<LogLevel>({
    ...enumOf(logLevels),
    env: 'WSHUB_LOG_LEVEL',
    default: 'info',
    help: `Least level that is logged: ${logLevels.join(', ')}.`,
  }),
  logFormat: setting<LogFormat>({
    ...enumOf(logFormats),
    env: 'WSHUB_LOG_FORMAT',
    default: 'auto',
    help: 'Format of the log: json, pretty (for people), or auto: pretty if standard output is a terminal.',
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
