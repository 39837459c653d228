/** The admin token: from a file, the environment, a systemd credential, or generated. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Settings } from '../config/settings.ts';
import { temporaryPrefix, usedDirectory, type RuntimeDir } from './runtime-dir.ts';

/** Name of the file in the runtime directory and of the credential (systemd.exec(5), LoadCredential). */
export const tokenFileName = 'admin.token';

/** File that the Debian package passes to the hub as a credential. */
export const packageTokenFile = `/etc/wshub/${tokenFileName}`;

/** File in a temporary runtime directory with the ops port of the hub whose token is beside it. */
const opsPortFileName = 'ops-port';

export interface AdminToken {
  token: string;
  /** file or variable, for the log */
  source: string;
  /** file that was written for this start, and is removed at its end */
  written?: string;
}

/**
 * Returns the token that the operator has set; null: none.
 * @param credentialsDir $CREDENTIALS_DIRECTORY
 * @throws {OperatorError} the token is missing or invalid
 */
export function givenAdminToken(
  { adminTokenFile: file, adminToken: value }: Pick<Settings, 'adminTokenFile' | 'adminToken'>,
  credentialsDir: string | undefined,
): AdminToken | null {
  if (file !== undefined) return { token: tokenIn(file), source: file };
  if (value !== undefined) return { token: checked(value, 'WSHUB_ADMIN_TOKEN'), source: 'WSHUB_ADMIN_TOKEN' };
  const credential = credentialsDir === undefined ? undefined : join(credentialsDir, tokenFileName);
  if (credential !== undefined && existsSync(credential)) {
    return { token: tokenIn(credential), source: credential };
  }
  return null;
}

/**
 * Generates a token and writes it to a file.
 * @throws {OperatorError} the file cannot be written
 */
export function freshAdminToken(generatedFile: string): AdminToken {
  const token = randomBytes(32).toString('base64url');
  writeToken(generatedFile, token);
  return { token, source: generatedFile, written: generatedFile };
}

/** @throws {OperatorError} the file cannot be written */
export function writeToken(file: string, token: string): void {
  try {
    writeFileSync(file, `${token}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new OperatorError(`the admin token cannot be written: ${messageOf(cause)}`, { cause });
  }
}

/** Lets commands of the same user find the generated token of a hub without a set runtime directory. */
export function announceToken(dir: RuntimeDir, opsPort: number): void {
  if (!dir.temporary) return;
  try {
    writeFileSync(dir.file(opsPortFileName), String(opsPort));
  } catch {
    // wshub top then needs WSHUB_ADMIN_TOKEN_FILE
  }
}

/** The known properties of the hub whose token is searched. */
export interface TokenSearch {
  adminTokenFile: string | undefined;
  runtimeDir: string | undefined;
  opsPort: number;
}

/** Returns the file with the token of the hub on this ops port, as far as this user can find it. */
export function findTokenFile({ adminTokenFile, runtimeDir, opsPort }: TokenSearch): string | undefined {
  const generated =
    runtimeDir === undefined ? announcedTokens(opsPort) : [join(usedDirectory(runtimeDir), tokenFileName)];
  const set = adminTokenFile === undefined ? [] : [adminTokenFile];
  return [...set, ...generated, packageTokenFile].find((file) => existsSync(file));
}

/** The most recent first: a killed hub leaves its directory behind. */
function announcedTokens(opsPort: number): string[] {
  const folders = readdirSync(tmpdir(), { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name.startsWith(temporaryPrefix),
  );
  const found = folders.flatMap(({ name }) => {
    const folder = join(tmpdir(), name);
    try {
      const { uid, mode, mtimeMs } = statSync(folder);
      // Any user can create such a directory.
      const isOurs = uid === process.getuid?.() && (mode & 0o077) === 0;
      const isOfPort = isOurs && readFileSync(join(folder, opsPortFileName), 'utf8') === String(opsPort);
      return isOfPort ? [{ file: join(folder, tokenFileName), mtimeMs }] : [];
    } catch {
      return []; // of another user, or just removed
    }
  });
  return found.sort((a, b) => b.mtimeMs - a.mtimeMs).map(({ file }) => file);
}

function tokenIn(file: string): string {
  try {
    return checked(readFileSync(file, 'utf8').trim(), file);
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
    throw new OperatorError(`the admin token cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** Rejects a token that cannot be sent in an Authorization header. */
function checked(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new OperatorError(
      `the admin token in ${source} is empty or contains characters other than visible ASCII`,
    );
  }
  return token;
}
