/**
 * Secrets that systemd passes to the hub (systemd.exec(5), LoadCredential): files of root, copied to a directory that only
 * this service can read. The units read them from /etc/wshub: `admin.token` and `jwt.secret` for wshub.service with
 * wshub.json, `a.token` and `a.jwt.secret` for wshub@a.service with a.json.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Credentials } from '../config/reader.ts';

const packageFolder = '/etc/wshub';
/** Content of a credential without a file (SetCredential in the units). */
const absent = 'none';

/**
 * Returns the credentials of this process. A command run by an operator with the settings file of a unit gets the original
 * files.
 * @param configFile identifies the unit
 */
export function credentialsOf(env: Readonly<NodeJS.ProcessEnv>, configFile: string | undefined): Credentials {
  const sources = configFile === undefined ? undefined : sourcesOf(resolve(configFile));
  const folder = env['CREDENTIALS_DIRECTORY'];
  const found: Credentials = {};
  for (const [setting, name] of [
    ['adminTokenFile', 'admin.token'],
    ['jwtSecretFile', 'jwt.secret'],
  ] as const) {
    const source = sources?.[setting];
    const file = folder === undefined ? source : join(folder, name);
    if (file === undefined || !existsSync(file)) continue;
    if (folder !== undefined && readFileSync(file, 'latin1') === absent) continue;
    found[setting] = { source, file };
  }
  return found;
}

function sourcesOf(configFile: string): Record<keyof Credentials, string> | undefined {
  if (dirname(configFile) !== packageFolder) return undefined;
  const name = basename(configFile, '.json');
  const ofUnit = name === 'wshub';
  return {
    adminTokenFile: join(packageFolder, ofUnit ? 'admin.token' : `${name}.token`),
    jwtSecretFile: join(packageFolder, ofUnit ? 'jwt.secret' : `${name}.jwt.secret`),
  };
}
