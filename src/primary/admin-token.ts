/** Where the admin token comes from: a file, the environment, systemd's credentials, or a fresh one. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError, reasonOf } from '../errors.ts';

/** The name of the file in the runtime directory, and of the credential (systemd.exec(5), LoadCredential). */
export const tokenFileName = 'admin.token';

export interface AdminToken {
  token: string;
  /** in words for the log, without the token */
  source: string;
  /** the file that was written for this start, to be removed with it */
  written?: string;
}

export interface TokenSources {
  file: string | undefined;
  value: string | undefined;
  /** $CREDENTIALS_DIRECTORY */
  credentialsDir: string | undefined;
  /** where a fresh token is written */
  generatedFile: string;
}

/** @throws {OperatorError} a token was promised and is not there */
export function readAdminToken({ file, value, credentialsDir, generatedFile }: TokenSources): AdminToken {
  if (file !== undefined) return { token: tokenIn(file), source: file };
  if (value !== undefined) return { token: checked(value, 'WSHUB_ADMIN_TOKEN'), source: 'WSHUB_ADMIN_TOKEN' };
  const credential = credentialsDir === undefined ? undefined : join(credentialsDir, tokenFileName);
  if (credential !== undefined && existsSync(credential)) {
    return { token: tokenIn(credential), source: credential };
  }
  const token = randomBytes(32).toString('base64url');
  try {
    writeFileSync(generatedFile, `${token}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new OperatorError(`the admin token cannot be written: ${reasonOf(cause)}`, { cause });
  }
  return { token, source: generatedFile, written: generatedFile };
}

function tokenIn(file: string): string {
  try {
    return checked(readFileSync(file, 'utf8').trim(), file);
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
    throw new OperatorError(`the admin token cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

/** A token that cannot stand in an Authorization header would lock everybody out. */
function checked(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new OperatorError(
      `the admin token in ${source} is empty or has characters other than visible ASCII`,
    );
  }
  return token;
}
