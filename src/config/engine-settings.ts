/** The settings of the engine, which several machines may share; a part of the table in settings.ts. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { OperatorError, messageOf } from '../platform/errors.ts';
import { hasMembers, Namespaces, type NamespaceSettings } from './namespaces.ts';
import { enumOf, setting, text, type Kind } from './setting-kinds.ts';

export const engines = ['embedded', 'redis'] as const;
export type EngineName = (typeof engines)[number];

/** The behaviour of the hub while the server of the engine is unreachable. */
export const engineDownPolicies = ['local', 'refuse'] as const;
export type EngineDownPolicy = (typeof engineDownPolicies)[number];

function isRedisUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, pathname, search, hash } = new URL(value);
  const isServer = ['redis:', 'rediss:'].includes(protocol) && hostname !== '';
  return isServer && /^\/?\d*$/.test(pathname) && search === '' && hash === '';
}

const redisUrl: Kind<string> = {
  schema: z
    .string()
    .refine(isRedisUrl)
    .describe('redis://[user:password@]host[:port][/database], or rediss:// for TLS'),
};

const name: Kind<string> = {
  schema: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .describe('1 to 64 letters, digits, "-", "_" or "."'),
};

export const engineSettings = {
  engine: setting<EngineName>({
    ...enumOf(engines),
    env: 'WSHUB_ENGINE',
    default: 'embedded',
    help: 'Where history lives, and how machines reach each other: `embedded` for one machine, `redis` for several that share a Redis or Valkey server.',
  }),
  engineDown: setting<EngineDownPolicy>({
    ...enumOf(engineDownPolicies),
    env: 'WSHUB_ENGINE_DOWN',
    default: 'local',
    help: 'What happens while the server of the engine is not reached: `local` serves channels without history on this machine alone; `refuse` refuses new clients and makes `/readyz` 503.',
  }),
  machineId: setting({
    ...name,
    env: 'WSHUB_MACHINE_ID',
    default: undefined,
    defaultText: 'the host name and a random part',
    help: 'Name of this machine among those that share an engine; each needs its own.',
  }),
  redisUrl: setting({
    ...redisUrl,
    env: 'WSHUB_REDIS_URL',
    default: undefined,
    defaultText: 'none',
    help: 'URL of the Redis (7.0 or newer) or Valkey server: `redis://host:6379`, or `rediss://` for TLS.',
    secret: true,
  }),
  redisPasswordFile: setting({
    ...text,
    env: 'WSHUB_REDIS_PASSWORD_FILE',
    default: undefined,
    defaultText: 'none',
    help: 'File with the password of the server, in place of one in the URL.',
    path: true,
  }),
  redisTlsCaFile: setting({
    ...text,
    env: 'WSHUB_REDIS_TLS_CA_FILE',
    default: undefined,
    defaultText: 'the authorities of the system',
    help: "File with the certificate authority (PEM) of the server's certificate.",
    path: true,
  }),
  redisPrefix: setting({
    ...name,
    env: 'WSHUB_REDIS_PREFIX',
    default: 'wshub',
    help: 'Begins all names in the server; the machines of one hub have the same, other hubs another.',
  }),
};

/** The values of these settings. */
export interface EngineValues {
  readonly engine: EngineName;
  readonly redisUrl: string | undefined;
  readonly redisPasswordFile: string | undefined;
  readonly redisTlsCaFile: string | undefined;
}

/**
 * Rejects settings that are valid individually but not together.
 * @throws {OperatorError} one line that names the settings
 */
export function refuseEngineContradictions(settings: EngineValues & NamespaceSettings): void {
  const { engine, redisUrl: url, redisPasswordFile, redisTlsCaFile } = settings;
  if (engine === 'embedded') {
    const [idle] = Object.entries({
      WSHUB_REDIS_URL: url,
      WSHUB_REDIS_PASSWORD_FILE: redisPasswordFile,
      WSHUB_REDIS_TLS_CA_FILE: redisTlsCaFile,
    }).flatMap(([variable, value]) => (value === undefined ? [] : [variable]));
    if (idle !== undefined) throw new OperatorError(`${idle} needs WSHUB_ENGINE=redis`);
    return;
  }
  if (url === undefined) throw new OperatorError('WSHUB_ENGINE=redis needs WSHUB_REDIS_URL');
  if (redisTlsCaFile !== undefined && !url.startsWith('rediss:')) {
    throw new OperatorError('WSHUB_REDIS_TLS_CA_FILE needs a WSHUB_REDIS_URL that begins with rediss://');
  }
  const withMembers = Namespaces.from(settings).all.find(hasMembers);
  if (withMembers) {
    const { namespace } = withMembers;
    throw new OperatorError(
      `WSHUB_ENGINE=redis does not support presence and joinLeave yet, as ${namespace === '' ? 'the default namespace' : `namespace "${namespace}"`} wants them`,
    );
  }
}

/** Whether the hub has a broker: for an engine, or for the options of a namespace. */
export function needsBroker(settings: NamespaceSettings & Pick<EngineValues, 'engine'>): boolean {
  return settings.engine !== 'embedded' || Namespaces.from(settings).needBroker;
}

/** Checks the files of the engine. @throws {OperatorError} one cannot be read */
export function checkEngineFiles({ redisPasswordFile, redisTlsCaFile }: EngineValues): void {
  for (const path of [redisPasswordFile, redisTlsCaFile]) {
    if (path === undefined) continue;
    try {
      readFileSync(path);
    } catch (cause) {
      throw new OperatorError(`a file of the engine cannot be read: ${messageOf(cause)}`, { cause });
    }
  }
}
