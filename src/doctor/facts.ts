/** Gathers what the checks look at; what cannot be found out is null. */
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import type { SettingName, Settings } from '../settings.ts';
import { reasonOf } from '../errors.ts';
import type { Facts } from './checks.ts';

const run = promisify(execFile);

export async function gather(settings: Settings): Promise<Facts> {
  const [publicPort, opsPort] = await Promise.all([
    portFault('WSHUB_PORT', settings.host, settings.port),
    portFault('WSHUB_OPS_PORT', settings.opsHost, settings.opsPort),
  ]);
  return {
    nodeMajor: Number(process.versions.node.split('.')[0]),
    openFiles: numberIn('/proc/self/limits', /^Max open files\s+(\d+)/m),
    somaxconn: numberIn('/proc/sys/net/core/somaxconn', /(\d+)/),
    portsInUse: [publicPort, opsPort].filter((fault) => fault !== null),
    runtimeDir: runtimeDirFacts(settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY']),
    secretFiles: secretFiles(settings),
    stopTimeout: await stopTimeout(),
    clockSynchronized: await clockSynchronized(),
  };
}

function numberIn(file: string, pattern: RegExp): number | null {
  try {
    const found = pattern.exec(readFileSync(file, 'utf8'))?.[1];
    return found === undefined ? null : Number(found);
  } catch {
    return null; // another operating system, or a sandbox
  }
}

function portFault(setting: string, host: string, port: number): Promise<Facts['portsInUse'][number] | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', (error) => {
      resolve({ setting, port, reason: reasonOf(error) });
    });
    server.listen(port, host, () => {
      server.close(() => {
        resolve(null);
      });
    });
  });
}

function runtimeDirFacts(path: string | undefined): Facts['runtimeDir'] {
  const found = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
  if (path === undefined || !found) return null;
  return { path, mode: found.mode & 0o777, ownedByUs: found.uid === process.getuid?.() };
}

/** Every setting that names a file with a secret: its name says so. */
function secretFiles(settings: Settings): Facts['secretFiles'] {
  return (Object.keys(settings) as SettingName[]).flatMap((name) => {
    const path = settings[name];
    if (!/(Token|Secret)File$/.test(name) || typeof path !== 'string') return [];
    return [{ path, mode: statSync(path, { throwIfNoEntry: false })?.mode ?? null }];
  });
}

/** What PM2 or an installed unit gives a stop. */
async function stopTimeout(): Promise<Facts['stopTimeout']> {
  const killTimeout = Number(process.env['kill_timeout'] ?? NaN); // PM2 tells its processes their configuration
  if (process.env['pm_id'] !== undefined && !Number.isNaN(killTimeout)) {
    return { manager: 'PM2', ms: killTimeout, mend: 'kill_timeout: 20000 in ecosystem.config.js' };
  }
  const text = await output('systemctl', 'show', 'wshub.service', '-p', 'LoadState', '-p', 'TimeoutStopUSec');
  const [, span] =
    /LoadState=loaded[^]*TimeoutStopUSec=(.+)|TimeoutStopUSec=(.+)\n[^]*LoadState=loaded/.exec(text) ?? [];
  const ms = span === undefined ? null : spanMs(span);
  return ms === null ? null : { manager: 'systemd', ms, mend: 'TimeoutStopSec=20 in wshub.service' };
}

/** systemd's way of writing a time span (systemd.time(7)): `1min 30s`. Null: no limit. */
export function spanMs(span: string): number | null {
  const units: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, min: 60_000, h: 3_600_000 };
  const parts = [...span.matchAll(/(\d+)(us|ms|min|s|h)/g)];
  if (parts.length === 0) return null;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0);
}

async function clockSynchronized(): Promise<boolean | null> {
  const text = await output('timedatectl', 'show', '-p', 'NTPSynchronized', '--value');
  return text === 'yes' ? true : text === 'no' ? false : null;
}

/** What a program prints; nothing where it is not there. */
async function output(program: string, ...args: string[]): Promise<string> {
  return run(program, args, { timeout: 5_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}
