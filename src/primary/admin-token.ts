/** Where the admin token comes from: a file, the environment, systemd's credentials, or a fresh one. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Settings } from '../config/settings.ts';
import { temporaryPrefix, usedDirectory, type RuntimeDir } from './runtime-dir.ts';

/** The name of the file in the runtime directory, and of the credential (systemd.exec(5), LoadCredential). */
export const tokenFileName = 'admin.token';

/** What the Debian package gives the hub as a credential. */
export const packageTokenFile = `/etc/wshub/${tokenFileName}`;

/** Says in a temporary runtime directory whose token lies beside it. */
const opsPortFileName = 'ops-port';

export interface AdminToken {
  token: string;
  /** in words for the log, without the token */
  source: string;
  /** the file that was written for this start, to be removed with it */
  written?: string;
}

/**
 * The token that the operator has given; null: none, and one is to be made.
 * @param credentialsDir $CREDENTIALS_DIRECTORY
 * @throws {OperatorError} a token was promised and is not there
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
 * A fresh token, in a file of its own.
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

/** Lets the commands of the same user find the generated token of a hub whose runtime directory has no set path. */
export function announceToken(dir: RuntimeDir, opsPort: number): void {
  if (!dir.temporary) return;
  try {
    writeFileSync(dir.file(opsPortFileName), String(opsPort));
  } catch {
    // a convenience only
  }
}

/** Where the token of a running hub can be that the settings do not name. */
export interface TokenSearch {
  adminTokenFile: string | undefined;
  runtimeDir: string | undefined;
  opsPort: number;
}

/** The file with the token of the hub on this ops port, as far as this user can know. */
export function findTokenFile({ adminTokenFile, runtimeDir, opsPort }: TokenSearch): string | undefined {
  const generated =
    runtimeDir === undefined ? announcedTokens(opsPort) : [join(usedDirectory(runtimeDir), tokenFileName)];
  const set = adminTokenFile === undefined ? [] : [adminTokenFile];
  return [...set, ...generated, packageTokenFile].find((file) => existsSync(file));
}

/** The youngest first: a hub that was killed leaves its directory behind. */
function announcedTokens(opsPort: number): string[] {
  const folders = readdirSync(tmpdir(), { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name.startsWith(temporaryPrefix),
  );
  const found = folders.flatMap(({ name }) => {
    const folder = join(tmpdir(), name);
    try {
      const { uid, mode, mtimeMs } = statSync(folder);
      // Anybody can make such a folder.
      const isOurs = uid === process.getuid?.() && (mode & 0o077) === 0;
      const isOfPort = isOurs && readFileSync(join(folder, opsPortFileName), 'utf8') === String(opsPort);
      return isOfPort ? [{ file: join(folder, tokenFileName), mtimeMs }] : [];
    } catch {
      return []; // another hub's, or just being removed
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

/** A token that cannot stand in an Authorization header would lock everybody out. */
function checked(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new OperatorError(
      `the admin token in ${source} is empty or has characters other than visible ASCII`,
    );
  }
  return token;
}
