/**
 * Reads the settings: each from the environment, else from the JSON file, else from its default. Environment and file text are
 * arguments.
 */
import { resolve } from 'node:path';
import { OperatorError } from '../platform/errors.ts';
import { refuseEngineContradictions } from './engine-settings.ts';
import { Namespaces } from './namespaces.ts';
import { allowedBy, parseText, parseValue, type Setting } from './setting-kinds.ts';
import { settingsTable, type SettingName, type Settings } from './settings.ts';

/** A file with a secret that a process manager passes to the hub instead of the original file. */
export interface Credential {
  /** the operator's file, which the hub's user cannot read */
  source: string | undefined;
  /** the file to read instead */
  file: string;
}

/** Credentials by the setting that names the file. */
export type Credentials = Partial<Record<'adminTokenFile' | 'jwtSecretFile', Credential>>;

/** The JSON file, with its name for errors and its folder for relative paths. */
export interface ConfigFile {
  /** the folder that relative paths start from */
  folder: string;
  /** the file's text */
  text: string;
  /** the file's name in the command line */
  name: string;
}

const clientKeys = ['jwtSecretFile', 'jwtPublicKeyFile', 'jwksUrl'] as const;

/**
 * Reads and checks the settings.
 * @param credentials replace the files that they come from; the token secret also applies if no setting names a key
 * @throws {OperatorError} one line that names the setting, its value and what is allowed
 */
export function readSettings(
  env: Readonly<NodeJS.ProcessEnv>,
  file?: ConfigFile,
  credentials: Credentials = {},
): Settings {
  const injected = serviceVariables(env);
  refuseUnknownVariables(env, injected);
  const fromFile = file ? parseFile(file) : {};
  const settings: Record<string, unknown> = {};
  for (const [name, row] of Object.entries<Setting<unknown>>(settingsTable)) {
    const variable = injected.includes(row.env) ? undefined : env[row.env];
    if (variable !== undefined) {
      const value = checked(row, row.env, variable, parseText(row, variable));
      settings[name] = row.path ? resolve(String(value)) : value;
    } else if (file && Object.hasOwn(fromFile, name)) {
      const given = fromFile[name];
      const value = checked(row, `${name} in ${file.name}`, given, parseValue(row, given));
      settings[name] = row.path ? resolve(file.folder, String(value)) : value;
    } else {
      settings[name] = row.default;
    }
  }
  for (const [name, { source, file: credential }] of Object.entries(credentials)) {
    if (source !== undefined && settings[name] === source) settings[name] = credential;
  }
  if (clientKeys.every((name) => settings[name] === undefined)) {
    settings['jwtSecretFile'] = credentials.jwtSecretFile?.file;
  }
  refuseContradictions(settings as Settings);
  return settings as Settings;
}

/** Rejects settings that are valid individually but not together. */
function refuseContradictions(settings: Settings): void {
  const { outboxSoftBytes, outboxMaxBytes } = settings;
  // The default is limited by a smaller maximum; a set value is refused.
  if (outboxSoftBytes > outboxMaxBytes && outboxSoftBytes !== settingsTable.outboxSoftBytes.default) {
    throw new OperatorError(
      `${nameOf('outboxSoftBytes')} ${outboxSoftBytes} is more than ${nameOf('outboxMaxBytes')} ${outboxMaxBytes}`,
    );
  }
  Namespaces.from(settings);
  refuseEngineContradictions(settings);
  const { host, port, opsHost, opsPort } = settings;
  if (port === opsPort && port !== 0 && overlap(host, opsHost)) {
    throw new OperatorError(
      `${nameOf('port')} and ${nameOf('opsPort')} are both ${port}; give each a port of its own`,
    );
  }
  const isSet = (name: SettingName) => settings[name] !== undefined;
  const keys = clientKeys.filter(isSet);
  if (keys.length > 1) {
    throw new OperatorError(
      `${keys.map(nameOf).join(' and ')}: clients' tokens have one kind of key; set one`,
    );
  }
  const claim =
    (['jwtAudience', 'jwtIssuer'] as const).find(isSet) ??
    (settings.jwtMaxTtlMs > 0 ? 'jwtMaxTtlMs' : undefined);
  if (claim !== undefined && keys.length === 0) {
    throw new OperatorError(
      `${nameOf(claim)} asks for a claim of tokens, and no key is set that verifies them`,
    );
  }
}

/** Whether a port on one address conflicts with the same port on the other; names are not resolved. */
function overlap(one: string, other: string): boolean {
  const covers = (wildcard: string, host: string) =>
    wildcard === '::' || (wildcard === '0.0.0.0' && !host.includes(':'));
  return one === other || covers(one, other) || covers(other, one);
}

function nameOf(name: SettingName): string {
  return settingsTable[name].env;
}

/**
 * Returns variables that are no settings: Kubernetes injects some for each Service of the namespace, and Docker for each link, with
 * its name as prefix. For one named `wshub` or `wshub-ops` they begin with WSHUB_, and WSHUB_PORT is a URL.
 */
export function serviceVariables(env: Readonly<NodeJS.ProcessEnv>): string[] {
  const isInjected = ([name, value = '']: [string, string | undefined]) =>
    /^WSHUB(_[A-Z0-9_]+)?_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name) ||
    /^WSHUB(_[A-Z0-9_]+)?_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END))?$/.test(name) ||
    (/^WSHUB(_[A-Z0-9_]+)?_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value)) ||
    (/^WSHUB(_[A-Z0-9_]+)?_NAME$/.test(name) && /^\/[^/]+\/[^/]+$/.test(value)) || // of a Docker link
    /^WSHUB(_\d+)?_ENV_/.test(name);
  return Object.entries(env).flatMap((entry) => (isInjected(entry) ? [entry[0]] : []));
}

function refuseUnknownVariables(env: Readonly<NodeJS.ProcessEnv>, injected: readonly string[]): void {
  const known = new Set(Object.values<Setting<unknown>>(settingsTable).map((row) => row.env));
  const unknown = Object.keys(env).find(
    (name) => name.startsWith('WSHUB_') && !known.has(name) && !injected.includes(name),
  );
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

function checked(
  row: Setting<unknown>,
  name: string,
  given: unknown,
  parsed: ReturnType<typeof parseValue>,
): unknown {
  if (parsed.success) return parsed.data;
  const shown = row.secret ? 'its value' : JSON.stringify(given);
  throw new OperatorError(`${name}: ${shown} is not allowed, it must be ${allowedBy(row)}`);
}
