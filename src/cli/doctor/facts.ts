/** Gathers the facts that the checks look at. A fact that cannot be determined is null. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { Settings } from '../../config/settings.ts';
import { packageTokenFile } from '../../primary/admin-token.ts';
import { usedDirectory } from '../../primary/runtime-dir.ts';
import { descriptorLimit } from '../../platform/descriptors.ts';
import { engineFacts, type EngineFacts } from './engine-facts.ts';
import { clockSynchronized, pm2StopMs, unitFacts, type StopTimeout, type UnitFacts } from './managers.ts';
import { portFacts, type PortFacts } from './ports.ts';

export interface Facts {
  nodeMajor: number;
  /** limit of open files: of the installed unit if there is one, else of this shell */
  openFiles: number;
  somaxconn: number | null;
  ports: PortFacts[];
  /** null: not set, or not created yet */
  runtimeDir: { path: string; mode: number; ownedByUs: boolean } | null;
  /** files with keys and tokens that the settings name */
  keyFiles: KeyFile[];
  stopTimeouts: StopTimeout[];
  /** null: unknown */
  clockSynchronized: boolean | null;
  /** names of the proxies that run on this machine */
  proxies: string[];
  /** null: history is kept on this machine */
  engine: EngineFacts | null;
}

export interface KeyFile {
  setting:
    | 'WSHUB_ADMIN_TOKEN_FILE'
    | 'WSHUB_JWT_SECRET_FILE'
    | 'WSHUB_JWT_PUBLIC_KEY_FILE'
    | 'WSHUB_API_KEYS_FILE'
    | 'WSHUB_REDIS_PASSWORD_FILE';
  path: string;
  /** null: the file does not exist */
  mode: number | null;
  /** contains no secret: others may read it, but not write it */
  isPublic: boolean;
  /** read by the user of the installed unit, which neither owns the file nor is in its group */
  openedByUnit: boolean;
}

/** Files that systemd reads as root for the units (LoadCredential). */
const credential = /^\/etc\/wshub\/[^/]+\.(token|secret)$/;

export async function gather(settings: Settings): Promise<Facts> {
  const unit = await unitFacts();
  const kept = unit?.keptPorts ?? [];
  return {
    nodeMajor: Number(process.versions.node.split('.')[0]),
    openFiles: unit?.openFiles ?? descriptorLimit(),
    somaxconn: somaxconn(),
    ports: await Promise.all([
      portFacts('WSHUB_PORT', settings.host, settings.port, kept),
      portFacts('WSHUB_OPS_PORT', settings.opsHost, settings.opsPort, kept),
    ]),
    runtimeDir: runtimeDirFacts(settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY']),
    keyFiles: keyFiles(settings, unit !== null),
    stopTimeouts: await stopTimeouts(unit),
    clockSynchronized: await clockSynchronized(),
    proxies: runningProxies(),
    engine: await engineFacts(settings),
  };
}

function somaxconn(): number | null {
  try {
    return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
  } catch {
    return null; // another operating system, or a sandbox
  }
}

const proxyPrograms: ReadonlySet<string> = new Set([
  'nginx',
  'haproxy',
  'caddy',
  'traefik',
  'envoy',
  'apache2',
  'httpd',
]);

function runningProxies(): string[] {
  let pids: string[];
  try {
    pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
  const names = pids.map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    } catch {
      return ''; // the process has ended
    }
  });
  return [...new Set(names)].filter((name) => proxyPrograms.has(name)).sort();
}

function runtimeDirFacts(path: string | undefined): Facts['runtimeDir'] {
  if (path === undefined) return null;
  const found = statSync(usedDirectory(path), { throwIfNoEntry: false });
  if (!found) return null;
  return { path, mode: found.mode & 0o777, ownedByUs: found.uid === process.getuid?.() };
}

function keyFiles(
  { adminTokenFile, jwtSecretFile, jwtPublicKeyFile, apiKeysFile, redisPasswordFile }: Settings,
  hasUnit: boolean,
): KeyFile[] {
  const token = adminTokenFile ?? (existsSync(packageTokenFile) ? packageTokenFile : undefined);
  const files: [setting: KeyFile['setting'], path: string | undefined, isPublic: boolean][] = [
    ['WSHUB_ADMIN_TOKEN_FILE', token, false],
    ['WSHUB_JWT_SECRET_FILE', jwtSecretFile, false],
    ['WSHUB_JWT_PUBLIC_KEY_FILE', jwtPublicKeyFile, true],
    ['WSHUB_REDIS_PASSWORD_FILE', redisPasswordFile, false],
    ['WSHUB_API_KEYS_FILE', apiKeysFile, hasUnit], // the unit's user reads it as one of all users
  ];
  return files.flatMap(([setting, path, isPublic]) => {
    if (path === undefined) return [];
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? null;
    return [{ setting, path, isPublic, mode, openedByUnit: hasUnit && !credential.test(path) }];
  });
}

async function stopTimeouts(unit: UnitFacts | null): Promise<StopTimeout[]> {
  const pm2 = await pm2StopMs(process.cwd());
  const all: { manager: StopTimeout['manager']; ms: number | null }[] = [
    { manager: 'PM2', ms: pm2 },
    { manager: 'systemd', ms: unit?.stopMs ?? null },
  ];
  return all.flatMap(({ manager, ms }) => (ms === null ? [] : [{ manager, ms }]));
}
