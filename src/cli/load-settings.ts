/** The settings of a command: from the environment, the file of `--config`, and a service manager's credentials. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readSettings } from '../config/reader.ts';
import type { Settings } from '../config/settings.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';
import { credentialsOf } from '../process-manager/credentials.ts';

/** @throws {OperatorError} the file cannot be read, or a setting is not valid */
export function loadSettings(configFile: string | undefined): Settings {
  const credentials = credentialsOf(process.env, configFile);
  if (configFile === undefined) return readSettings(process.env, undefined, credentials);
  let text: string;
  try {
    text = readFileSync(configFile, 'utf8');
  } catch (cause) {
    throw new OperatorError(`config file ${configFile} cannot be read: ${messageOf(cause)}`, { cause });
  }
  const file = { name: configFile, folder: dirname(resolve(configFile)), text };
  return readSettings(process.env, file, credentials);
}
