/**
 * The settings: one table that the reader, `wshub --help` and docs/configuration.md are made from. A setting is one row: its
 * variable, default, sentence and check. `setting-groups.ts` puts it under a heading.
 */
import { availableParallelism } from 'node:os';
import { engineSettings } from './engine-settings.ts';
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

const insecureModes = ['false', 'true', 'force'] as const;
type Insecure = (typeof insecureModes)[number];

export const settingsTable = {
  host: setting({
    ...host,
    env: 'WSHUB_HOST',
    default: '0.0.0.0',
    help: 'Address that the public port listens on.',
  }),
  port: setting({
    ...integer(0, 65535),
    env: 'WSHUB_PORT',
    default: 8080,
    help: 'Public port for WebSockets and admin routes; `0` takes a free one.',
  }),
  opsHost: setting({
    ...host,
    env: 'WSHUB_OPS_HOST',
    default: '127.0.0.1',
    help: 'Address that the ops port listens on.',
  }),
  opsPort: setting({
    ...integer(0, 65535),
    env: 'WSHUB_OPS_PORT',
    default: 9180,
    help: 'Ops port for probes, metrics and admin routes; `0` takes a free one.',
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
    help: "Directory (mode 0700) for the workers' sockets and the generated admin token; in a directory that others may write to, the hub makes its own.",
    path: true,
  }),
  stateDir: setting({
    ...text,
    env: 'WSHUB_STATE_DIR',
    default: undefined,
    defaultText: '`$STATE_DIRECTORY`, else the runtime directory',
    help: 'Directory of the history files; in the runtime directory history survives a broker that dies, not a restart.',
    path: true,
  }),
  historyMaxBytes: setting({
    ...integer(1024 * 1024, 64 * 1024 * 1024 * 1024),
    env: 'WSHUB_HISTORY_MAX_BYTES',
    default: 256 * 1024 * 1024,
    help: 'Memory for the history of all channels, in bytes; over it the least recently used channels lose theirs.',
  }),
  ...engineSettings,
  ...limitSettings,
  maxBatchDelayMs: setting({
    ...integer(0, 1_000),
    env: 'WSHUB_MAX_BATCH_DELAY_MS',
    default: 5,
    help: 'Longest time that a busy, large channel collects messages before it writes them, in ms (times workers per CPU, if above 1); `0` writes at once.',
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
    help: '`true` refuses channels whose prefix is not a declared namespace; `false` puts them into the default namespace.',
  }),
  jwtSecretFile: setting({
    ...text,
    env: 'WSHUB_JWT_SECRET_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'File with the HMAC secret of client tokens, at least 32 bytes; once a key is set, every client needs a token.',
    path: true,
  }),
  jwtPublicKeyFile: setting({
    ...text,
    env: 'WSHUB_JWT_PUBLIC_KEY_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'File with the public key (PEM) of client tokens.',
    path: true,
  }),
  jwksUrl: setting({
    ...url,
    env: 'WSHUB_JWKS_URL',
    default: undefined,
    defaultText: 'none',
    help: 'URL of the key set (JWKS) of client tokens.',
  }),
  jwtAudience: setting({
    ...text,
    env: 'WSHUB_JWT_AUDIENCE',
    default: undefined,
    defaultText: 'any',
    help: 'Audience that the `aud` of a client token must be or contain.',
  }),
  jwtIssuer: setting({
    ...text,
    env: 'WSHUB_JWT_ISSUER',
    default: undefined,
    defaultText: 'any',
    help: 'Issuer that the `iss` of a client token must be.',
  }),
  jwtLeewayMs: setting({
    ...integer(0, 600_000),
    env: 'WSHUB_JWT_LEEWAY_MS',
    default: 30_000,
    help: 'Clock difference that is tolerated when `nbf` and `exp` of a token are checked, in ms.',
  }),
  jwtMaxTtlMs: setting({
    ...integer(0, 1_000_000_000_000),
    env: 'WSHUB_JWT_MAX_TTL_MS',
    default: 0,
    defaultText: '0, any',
    help: 'Longest time that a token may still be valid when its client connects, in ms; above `0`, every token needs an `exp`.',
  }),
  jwtAllowShortSecret: setting({
    ...boolean,
    env: 'WSHUB_JWT_ALLOW_SHORT_SECRET',
    default: false,
    help: '`true` accepts an HMAC secret of fewer than 32 bytes and logs a warning at the start. For tests only.',
  }),
  insecure: setting<Insecure>({
    ...enumOf(insecureModes),
    env: 'WSHUB_INSECURE',
    default: 'false',
    help: '`true` lets clients of the Centrifugal SDKs do everything without a token; it cannot be combined with a token key. `force` can, and logs a warning every minute. For tests only.',
  }),
  personalChannel: setting({
    ...boolean,
    env: 'WSHUB_PERSONAL_CHANNEL',
    default: false,
    help: '`true` subscribes each client of a Centrifugal SDK that has a user to the channel `#<user>`; the default namespace must be `userLimited`.',
  }),
  allowedOrigins: setting({
    ...origins,
    env: 'WSHUB_ALLOWED_ORIGINS',
    default: [],
    defaultText: "the hub's own hostname",
    help: "Origins whose web pages may connect besides the hub's own, separated by commas: `https://app.example`, `https://*.app.example`, `capacitor://localhost`, `null`; `*` allows all.",
  }),
  trustProxy: setting({
    ...trustedProxies(16),
    env: 'WSHUB_TRUST_PROXY',
    default: 0,
    help: 'Proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are trusted: their number, or their addresses and ranges (`10.0.0.0/8`, `loopback`, `linklocal`, `uniquelocal`), separated by commas; `0` ignores both headers.',
  }),
  handlers: setting({
    ...text,
    env: 'WSHUB_HANDLERS',
    default: undefined,
    defaultText: 'none',
    help: 'Module (.ts or .js) with your handlers.',
    path: true,
  }),
  handlerTimeoutMs: setting({
    ...integer(1, 3_600_000),
    env: 'WSHUB_HANDLER_TIMEOUT_MS',
    default: 10_000,
    help: 'Time limit of an async handler, in ms; its sender then gets `handler_failed`.',
  }),
  pingIntervalMs: setting({
    ...integer(100, 3_600_000),
    env: 'WSHUB_PING_INTERVAL_MS',
    default: 30_000,
    help: 'Interval between two pings of a client, in ms; a client that answers none within it is disconnected.',
  }),
  drainSpreadMs: setting({
    ...integer(0, 3_600_000),
    env: 'WSHUB_DRAIN_SPREAD_MS',
    default: 30_000,
    help: 'Time over which a reload spreads the closes of the old workers, in ms.',
  }),
  stopSpreadMs: setting({
    ...integer(0, 600_000),
    env: 'WSHUB_STOP_SPREAD_MS',
    default: 3_000,
    help: 'Time over which a stop spreads its closes, in ms.',
  }),
  workerMaxMemory: setting({
    ...integer(0, 2 ** 40),
    env: 'WSHUB_WORKER_MAX_MEMORY',
    default: 0,
    defaultText: '0, no limit',
    help: 'Resident memory above which a worker is replaced, in bytes; its clients are drained as in a reload.',
  }),
  adminToken: setting({
    ...text,
    env: 'WSHUB_ADMIN_TOKEN',
    default: undefined,
    defaultText: 'generated at each start',
    help: 'Bearer token of the admin routes; prefer `WSHUB_ADMIN_TOKEN_FILE`.',
    secret: true,
  }),
  adminTokenFile: setting({
    ...text,
    env: 'WSHUB_ADMIN_TOKEN_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'File with the admin token; takes precedence over `WSHUB_ADMIN_TOKEN`.',
    path: true,
  }),
  apiKeysFile: setting({
    ...text,
    env: 'WSHUB_API_KEYS_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'JSON file with the API keys of back ends: their digests, scopes and channels; a reload reads it again.',
    path: true,
  }),
  adminPublic: setting({
    ...boolean,
    env: 'WSHUB_ADMIN_PUBLIC',
    default: true,
    help: '`true` serves the admin routes on both ports; `false` only on the ops port.',
  }),
  trustTraceparent: setting({
    ...boolean,
    env: 'WSHUB_TRUST_TRACEPARENT',
    default: false,
    help: '`true` continues the trace in the `traceparent` header of a client. Enable it only if all clients are your own.',
  }),
  traceChannels: setting({
    ...boolean,
    env: 'WSHUB_TRACE_CHANNELS',
    default: false,
    help: '`true` adds channel names to traces; they may contain personal data.',
  }),
  logLevel: setting<LogLevel>({
    ...enumOf(logLevels),
    env: 'WSHUB_LOG_LEVEL',
    default: 'info',
    help: `Lowest level that is logged: ${logLevels.join(', ')}.`,
  }),
  logFormat: setting<LogFormat>({
    ...enumOf(logFormats),
    env: 'WSHUB_LOG_FORMAT',
    default: 'auto',
    help: 'Log format: `json`, `pretty` for people, or `auto`, which is pretty on a terminal.',
  }),
};

type Table = typeof settingsTable;
export type SettingName = keyof Table;
export type Settings = { readonly [K in SettingName]: Table[K] extends Setting<infer T> ? T : never };

export interface SettingRow {
  name: string;
  env: string;
  default: string;
  help: string;
}

/** One row per setting: its name in the file, its variable, its default in words, its sentence. */
export function settingsRows(): SettingRow[] {
  return Object.entries<Setting<unknown>>(settingsTable).map(([name, row]) => ({
    name,
    env: row.env,
    default: row.defaultText ?? String(row.default),
    help: row.help,
  }));
}
