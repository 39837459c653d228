/** The state directory: where the broker keeps its files. Without one of the operator's, the runtime directory. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Settings } from '../config/settings.ts';

/** Returns the operator's directory, or systemd's; undefined: neither is set. */
export function givenStateDir(
  { stateDir }: Pick<Settings, 'stateDir'>,
  env: Readonly<NodeJS.ProcessEnv>,
): string | undefined {
  return stateDir ?? env['STATE_DIRECTORY']?.split(':')[0];
}

/** Checks the conditions of a start; creates nothing. @throws {OperatorError} the directory cannot be used */
export function checkStateDir(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) throw new OperatorError(`state directory: ${path} is a file`);
  const writable = found ? path : existingParent(path);
  try {
    accessSync(writable, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new OperatorError(`state directory ${path}: ${writable} cannot be written`, { cause });
  }
}

/** Creates it if it is not there. @throws {OperatorError} it cannot be used */
export function makeStateDir(path: string): void {
  checkStateDir(path);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new OperatorError(`state directory: ${messageOf(cause)}`, { cause });
  }
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || statSync(parent, { throwIfNoEntry: false }) ? parent : existingParent(parent);
}
