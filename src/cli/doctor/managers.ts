/** What the process managers of this machine grant the hub: PM2 by its ecosystem file, systemd by its units. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { OperatorError, messageOf } from '../../platform/errors.ts';
import { descriptorLimit } from '../../platform/descriptors.ts';

const run = promisify(execFile);

/** Time that a manager allows for a stop before it kills the hub. */
export interface StopTimeout {
  manager: 'PM2' | 'systemd';
  ms: number;
}

export interface UnitFacts {
  /** null: no limit */
  stopMs: number | null;
  /** limit of the running hub, else the one that the unit asks for; null: unknown */
  openFiles: number | null;
  /** ports on which active socket units of the hub listen */
  keptPorts: number[];
}

/** Returns facts of the installed unit; null if there is none. */
export async function unitFacts(): Promise<UnitFacts | null> {
  const unit = await shown('wshub.service', ['LoadState', 'TimeoutStopUSec', 'LimitNOFILE', 'MainPID']);
  if (unit.get('LoadState') !== 'loaded') return null;
  const units = ['wshub.socket', 'wshub@*.socket'];
  const sockets = await output('systemctl', 'show', ...units, '-p', 'ActiveState', '-p', 'Listen');
  const kept = sockets.split('\n\n').filter((socket) => /^ActiveState=active$/m.test(socket));
  const pid = Number(unit.get('MainPID'));
  // The hub may have got less than the unit asks for, for example in a container.
  const openFiles = pid > 0 ? descriptorLimit(pid) : Number(unit.get('LimitNOFILE'));
  return {
    stopMs: spanMs(unit.get('TimeoutStopUSec') ?? ''),
    openFiles: Number.isNaN(openFiles) ? null : openFiles,
    keptPorts: [...kept.join('\n').matchAll(/:(\d+) \(Stream\)/g)].map(([, port]) => Number(port)),
  };
}

interface Ecosystem {
  apps?: { name?: string; kill_timeout?: number }[];
}

/** PM2's default. */
const defaultKillTimeoutMs = 1_600;

/**
 * Returns the kill timeout of the ecosystem file in this folder; null if there is no file, or no app named wshub in it.
 * @throws {OperatorError} as a rejection: the file cannot be loaded
 */
export async function pm2StopMs(folder: string): Promise<number | null> {
  const file = resolve(folder, 'ecosystem.config.js');
  if (!existsSync(file)) return null;
  let loaded: Ecosystem & { default?: Ecosystem };
  try {
    loaded = (await import(pathToFileURL(file).href)) as typeof loaded;
  } catch (cause) {
    throw new OperatorError(`${file} cannot be loaded: ${messageOf(cause)}`, { cause });
  }
  const app = (loaded.apps ?? loaded.default?.apps)?.find(({ name }) => name === 'wshub');
  return app ? (app.kill_timeout ?? defaultKillTimeoutMs) : null;
}

/** Parses a time span as systemd prints it (systemd.time(7)): `1min 30s`. Null: no limit. */
export function spanMs(span: string): number | null {
  const units: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, min: 60_000, h: 3_600_000 };
  const parts = [...span.matchAll(/(\d+)(us|ms|min|s|h)/g)];
  if (parts.length === 0) return null;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0);
}

/** Whether the clock is synchronized; null: unknown. */
export async function clockSynchronized(): Promise<boolean | null> {
  const text = await output('timedatectl', 'show', '-p', 'NTPSynchronized', '--value');
  return text === 'yes' ? true : text === 'no' ? false : null;
}

async function shown(unit: string, properties: readonly string[]): Promise<Map<string, string>> {
  const text = await output('systemctl', 'show', unit, ...properties.flatMap((name) => ['-p', name]));
  return new Map(
    text.split('\n').map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

/** Returns the output of a program; empty if the program is missing or fails. */
async function output(program: string, ...args: string[]): Promise<string> {
  return run(program, args, { timeout: 5_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}
