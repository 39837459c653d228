/**
 * What would bite in production: one function a check. Each looks at facts that facts.ts has gathered, so that it
 * can be tested without a machine that has the fault.
 */
import type { Settings } from '../settings.ts';
import { stopBudgetMs } from '../primary/drain-orders.ts';

export interface Facts {
  nodeMajor: number;
  /** soft limit of open files; null where it cannot be read */
  openFiles: number | null;
  somaxconn: number | null;
  /** ports that another process listens on */
  portsInUse: { setting: string; port: number; reason: string }[];
  /** the runtime directory, where it is there */
  runtimeDir: { path: string; mode: number; ownedByUs: boolean } | null;
  /** files with secrets, where they are set */
  secretFiles: { path: string; mode: number | null }[];
  /** what the process manager gives a stop; null where there is none or it does not say */
  stopTimeout: { manager: string; ms: number; mend: string } | null;
  /** the kernel's clock is kept in time by somebody; null where it does not say */
  clockSynchronized: boolean | null;
}

export interface Finding {
  level: 'ok' | 'warn' | 'bad';
  text: string;
  /** the line that mends it */
  mend?: string;
}

type Check = (facts: Facts, settings: Settings) => Finding;

/** below this a hub runs out of descriptors with a few thousand clients */
const wantedOpenFiles = 65_536;
const wantedSomaxconn = 4_096;
const oldestNode = 24;

const ok = (text: string): Finding => ({ level: 'ok', text });

export const checks: readonly Check[] = [
  ({ nodeMajor }) =>
    nodeMajor >= oldestNode
      ? ok(`Node ${nodeMajor}`)
      : { level: 'bad', text: `Node ${nodeMajor} is too old`, mend: `install Node ${oldestNode}: npm ci` },

  ({ openFiles }) => {
    if (openFiles === null) return { level: 'warn', text: 'the limit of open files cannot be read' };
    if (openFiles >= wantedOpenFiles) return ok(`${openFiles} open files per process`);
    return {
      level: openFiles < 4_096 ? 'bad' : 'warn',
      text: `${openFiles} open files per process: each client takes one`,
      mend: 'ulimit -n 262144, or LimitNOFILE=262144 in the unit',
    };
  },

  ({ somaxconn }) =>
    somaxconn === null || somaxconn >= wantedSomaxconn
      ? ok(`${somaxconn ?? 'unknown'} connects may wait to be accepted`)
      : {
          level: 'warn',
          text: `only ${somaxconn} connects may wait to be accepted`,
          mend: `sysctl -w net.core.somaxconn=${wantedSomaxconn}`,
        },

  ({ portsInUse }) =>
    portsInUse.length === 0
      ? ok('the ports are free')
      : {
          level: 'bad',
          text: portsInUse.map(({ setting, port, reason }) => `${setting} ${port}: ${reason}`).join('; '),
          mend: `ss -ltnp 'sport = :${portsInUse[0]?.port ?? 0}' names who has it; end that or set another port`,
        },

  ({ runtimeDir }) => {
    if (!runtimeDir) return ok('the runtime directory is made at the start');
    const { path, mode, ownedByUs } = runtimeDir;
    if (!ownedByUs) {
      return { level: 'bad', text: `${path} belongs to another user`, mend: `chown $(id -u) ${path}` };
    }
    if ((mode & 0o077) === 0) return ok(`runtime directory ${path}`);
    return { level: 'bad', text: `runtime directory ${path} is open to others`, mend: `chmod 700 ${path}` };
  },

  ({ secretFiles }) => {
    const missing = secretFiles.find(({ mode }) => mode === null);
    if (missing)
      return { level: 'bad', text: `${missing.path} is not there`, mend: `create ${missing.path}` };
    const open = secretFiles.find(({ mode }) => ((mode ?? 0) & 0o077) !== 0);
    if (!open) return ok('no secret is open to others');
    return { level: 'bad', text: `${open.path} can be read by others`, mend: `chmod 600 ${open.path}` };
  },

  ({ stopTimeout }, settings) => {
    const budget = stopBudgetMs(settings);
    if (!stopTimeout) return ok(`a stop takes up to ${budget} ms; give it that much`);
    const { manager, ms, mend } = stopTimeout;
    if (ms > budget) return ok(`${manager} gives a stop ${ms} ms, it takes up to ${budget} ms`);
    return {
      level: 'bad',
      text: `${manager} kills a stop after ${ms} ms, which takes up to ${budget} ms`,
      mend,
    };
  },

  ({ clockSynchronized }) =>
    clockSynchronized === false
      ? {
          level: 'warn',
          text: 'the clock is not synchronized: tokens expire by it',
          mend: 'timedatectl set-ntp true',
        }
      : ok('the clock'),
];

export function examine(facts: Facts, settings: Settings): Finding[] {
  return checks.map((check) => check(facts, settings));
}
