/**
 * The settings: one table that the parser, `wshub --help` and the README are made from. A setting comes from the
 * environment, else from the JSON file, else from its default. Nothing here reads a file or the environment.
 */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { OperatorError } from './errors.ts';
import { logLevels, type LogLevel } from './log.ts';

/** How the text of an environment variable becomes a value, which values are allowed, and how that is said. */
interface Kind<T> {
  schema: z.ZodType<T>;
  /** the JSON value that the text of an environment variable stands for */
  fromText: (text: string) => unknown;
  /** ends the sentence "must be …" */
  allowed: string;
}

interface Setting<T> extends Kind<T> {
  env: string;
  /** the value where nobody sets one */
  default: T;
  /** the default in words, where the value itself says too little */
  defaultText?: string;
  /** one sentence, with the unit */
  help: string;
  /** a path: relative ones start from the config file's folder, or from the working directory */
  path?: true;
  /** its value is never printed */
  secret?: true;
}

const asIs = (text: string) => text;

function integer(min: number, max: number): Kind<number> {
  return {
    schema: z.int().min(min).max(max),
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
    allowed: `a whole number from ${min} to ${max}`,
  };
}

/** Without a value something else decides. */
function optionalInteger(min: number, max: number): Kind<number | undefined> {
  const kind = integer(min, max);
  return { ...kind, schema: kind.schema.optional() };
}

function oneOf<const T extends string>(values: readonly T[]): Kind<T> {
  return { schema: z.enum(values), fromText: asIs, allowed: `one of ${values.join(', ')}` };
}

const hostPattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;
const host: Kind<string> = {
  schema: z.string().refine((value) => isIP(value) !== 0 || hostPattern.test(value)),
  fromText: asIs,
  allowed: 'an IP address or a host name',
};

const yesNo: Kind<boolean> = {
  schema: z.boolean(),
  fromText: (text) => (text === 'true' ? true : text === 'false' ? false : text),
  allowed: 'true or false',
};

const text: Kind<string | undefined> = {
  schema: z.string().min(1).optional(),
  fromText: asIs,
  allowed: 'a text that is not empty',
};

function isWebAddress(value: string): boolean {
  return URL.canParse(value) && ['http:', 'https:'].includes(new URL(value).protocol);
}

const webAddress: Kind<string | undefined> = {
  schema: z.string().refine(isWebAddress).optional(),
  fromText: asIs,
  allowed: 'a URL that begins with https:// (or http:// inside a trusted network)',
};

/** An origin as a browser sends it: scheme, host, and port if it is not the scheme's own; or all of them. */
function isOrigin(value: string): boolean {
  return value === '*' || (URL.canParse(value) && new URL(value).origin === value);
}

const origins: Kind<readonly string[]> = {
  schema: z.array(z.string().refine(isOrigin)),
  fromText: (value) => (value === '' ? [] : value.split(',').map((part) => part.trim())),
  allowed: 'origins like https://app.example, separated by commas (a list in the file), or *',
};

/** What becomes of a client that reads too slowly. */
export const slowPolicies = ['disconnect', 'skip'] as const;
export type SlowPolicy = (typeof slowPolicies)[number];

/** A method's bivariance lets rows of different value types stand in one table. */
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
    help: 'Messages and pings of one client per second; those over it are refused with `rate_limited`; 0 sets no limit.',
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

/** Where the JSON file's values come from, for sentences and for paths relative to it. */
export interface ConfigFile {
  /** the folder that relative paths start from */
  folder: string;
  /** the file's text */
  text: string;
  /** the file's name as the operator gave it */
  name: string;
}

/**
 * The settings from environment and file, checked.
 * @throws {OperatorError} one line that names the setting, its value and what is allowed
 */
export function readSettings(env: Readonly<NodeJS.ProcessEnv>, file?: ConfigFile): Settings {
  refuseUnknownVariables(env);
  const fromFile = file ? parseFile(file) : {};
  const settings: Record<string, unknown> = {};
  for (const [name, row] of Object.entries<Setting<unknown>>(settingsTable)) {
    const variable = env[row.env];
    if (variable !== undefined) {
      const value = checked(row, row.env, row.fromText(variable));
      settings[name] = row.path ? resolve(String(value)) : value;
    } else if (file && Object.hasOwn(fromFile, name)) {
      const value = checked(row, `${name} in ${file.name}`, fromFile[name]);
      settings[name] = row.path ? resolve(file.folder, String(value)) : value;
    } else {
      settings[name] = row.default;
    }
  }
  refuseContradictions(settings as Settings);
  return settings as Settings;
}

/** Settings that are good each by itself and not together. */
function refuseContradictions(settings: Settings): void {
  const { outboxSoftBytes, outboxMaxBytes } = settings;
  // The default gives way to a smaller maximum; what somebody has set does not.
  if (outboxSoftBytes > outboxMaxBytes && outboxSoftBytes !== settingsTable.outboxSoftBytes.default) {
    throw new OperatorError(
      `${nameOf('outboxSoftBytes')} ${outboxSoftBytes} is more than ${nameOf('outboxMaxBytes')} ${outboxMaxBytes}`,
    );
  }
  const isSet = (name: SettingName) => settings[name] !== undefined;
  const keys = (['jwtSecretFile', 'jwtPublicKeyFile', 'jwksUrl'] as const).filter(isSet);
  if (keys.length > 1) {
    throw new OperatorError(
      `${keys.map(nameOf).join(' and ')}: clients' tokens have one kind of key; set one`,
    );
  }
  const claim = (['jwtAudience', 'jwtIssuer'] as const).find(isSet);
  if (claim !== undefined && keys.length === 0) {
    throw new OperatorError(
      `${nameOf(claim)} asks for a claim of tokens, and no key is set that verifies them`,
    );
  }
}

function nameOf(name: SettingName): string {
  return settingsTable[name].env;
}

function refuseUnknownVariables(env: Readonly<NodeJS.ProcessEnv>): void {
  const known = new Set(Object.values<Setting<unknown>>(settingsTable).map((row) => row.env));
  const unknown = Object.keys(env).find((name) => name.startsWith('WSHUB_') && !known.has(name));
  if (unknown !== undefined) {
    throw new OperatorError(`${unknown} is not a setting; wshub --help lists them`);
  }
}

function parseFile(file: ConfigFile): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(file.text);
  } catch (cause) {
    throw new OperatorError(`config file ${file.name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OperatorError(`config file ${file.name} must hold one JSON object`);
  }
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(settingsTable, name));
  if (unknown !== undefined) {
    throw new OperatorError(`${unknown} in ${file.name} is not a setting; wshub --help lists them`);
  }
  return value as Record<string, unknown>;
}

function checked(row: Setting<unknown>, name: string, value: unknown): unknown {
  if (value !== undefined && row.schema.safeParse(value).success) return value;
  const shown = row.secret ? 'its value' : JSON.stringify(value);
  throw new OperatorError(`${name}: ${shown} is not allowed, it must be ${row.allowed}`);
}

/** One line per setting: variable, default, sentence. */
export function settingsRows(): { name: string; env: string; default: string; help: string }[] {
  return Object.entries<Setting<unknown>>(settingsTable).map(([name, row]) => ({
    name,
    env: row.env,
    default: row.defaultText ?? String(row.default),
    help: row.help,
  }));
}
