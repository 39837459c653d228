/**
 * What would bite in production: one function a check. Each looks at facts that facts.ts has gathered, so that it
 * can be tested without a machine that has the fault.
 */
import type { Settings } from '../../config/settings.ts';
import { stopBudgetMs } from '../../primary/drain-orders.ts';
import type { Facts, KeyFile } from './facts.ts';
import type { StopTimeout } from './managers.ts';
import type { PortFacts } from './ports.ts';

export interface Finding {
  level: 'ok' | 'warn' | 'bad';
  text: string;
  /** the line that mends it */
  mend?: string;
}

type Check = (facts: Facts, settings: Settings) => Finding | Finding[];

/** below this a hub runs out of descriptors with a few thousand clients */
const wantedOpenFiles = 65_536;
const wantedSomaxconn = 4_096;
const oldestNode = 24;

const ok = (text: string): Finding => ({ level: 'ok', text });

export const checks: readonly Check[] = [
  ({ nodeMajor }) =>
    nodeMajor >= oldestNode
      ? ok(`Node ${nodeMajor}`)
      : { level: 'bad', text: `Node ${nodeMajor} is too old`, mend: `npm ci   # brings Node ${oldestNode}` },

  ({ openFiles }) => {
    if (openFiles >= wantedOpenFiles) return ok(`${openFiles} open files per process`);
    return {
      level: openFiles < 4_096 ? 'bad' : 'warn',
      text: `${openFiles} open files per process: each client takes one`,
      mend: 'ulimit -n 262144   # as root, in the shell that starts the hub; in a unit LimitNOFILE=262144',
    };
  },

  ({ somaxconn }) => {
    if (somaxconn === null) return ok('how many connects may wait is not to be seen here');
    if (somaxconn >= wantedSomaxconn) return ok(`${somaxconn} connects may wait to be accepted`);
    return {
      level: 'warn',
      text: `only ${somaxconn} connects may wait to be accepted`,
      mend: `sysctl -w net.core.somaxconn=${wantedSomaxconn}`,
    };
  },

  ({ ports }) => ports.map(portFinding),

  ({ runtimeDir }) => {
    if (!runtimeDir) return ok('the runtime directory is made at the start');
    const { path, mode, ownedByUs } = runtimeDir;
    if (!ownedByUs) {
      return { level: 'bad', text: `${path} belongs to another user`, mend: `chown $(id -u) ${path}` };
    }
    if ((mode & 0o077) === 0) return ok(`runtime directory ${path}`);
    return { level: 'bad', text: `runtime directory ${path} is open to others`, mend: `chmod 700 ${path}` };
  },

  ({ keyFiles }) => keyFiles.map(keyFinding),

  ({ stopTimeouts }, settings) => {
    const budget = stopBudgetMs(settings);
    if (stopTimeouts.length === 0) return ok(`a stop takes up to ${budget} ms; give it that much`);
    return stopTimeouts.map((timeout) => stopFinding(timeout, budget));
  },

  ({ clockSynchronized }) => {
    if (clockSynchronized === null) return ok('whether somebody keeps the clock is not to be seen here');
    if (clockSynchronized) return ok('the clock is kept in time');
    return {
      level: 'warn',
      text: 'the clock is not synchronized: tokens expire by it',
      mend: 'timedatectl set-ntp true',
    };
  },
];

function portFinding({ setting, port, holder, reason, process }: PortFacts): Finding {
  const name = `${setting} ${port}`;
  if (holder === 'nobody') return ok(`${name} is free`);
  if (holder === 'hub') return ok(`${name} is held by the hub that runs`);
  if (holder === 'systemd') return ok(`${name} is kept for the hub by its socket unit`);
  if (process) {
    const { pid, command } = process;
    return {
      level: 'bad',
      text: `${name} is held by ${pid}: ${command}`,
      mend: `kill ${pid}   # or set ${setting}`,
    };
  }
  const mend = `ss -ltnp 'sport = :${port}'   # as root names who has it; end that, or set ${setting}`;
  return { level: 'bad', text: `${name}: ${reason}`, mend };
}

function keyFinding({ setting, path, mode, isPublic, openedByUnit }: KeyFile): Finding {
  if (mode === null) {
    const random = `(umask 077; head -c 32 /dev/urandom | base64 > ${path})`;
    const mend = isPublic ? `cp PUBLIC-KEY.pem ${path}   # the one of who signs the tokens` : random;
    return { level: 'bad', text: `${path} (${setting}) is not there`, mend };
  }
  if (openedByUnit && (mode & 0o004) === 0) {
    const credential = `/etc/wshub/${setting === 'WSHUB_JWT_SECRET_FILE' ? 'jwt.secret' : 'admin.token'}`;
    return {
      level: 'bad',
      text: `${path} (${setting}) cannot be read by the user of wshub.service`,
      mend: isPublic
        ? `chmod 644 ${path}`
        : `install -m 600 ${path} ${credential}   # the unit passes this file to the hub; then remove the setting`,
    };
  }
  if (isPublic && (mode & 0o022) !== 0) {
    return { level: 'bad', text: `${path} (${setting}) can be written by others`, mend: `chmod 644 ${path}` };
  }
  if (!isPublic && (mode & 0o077) !== 0) {
    return { level: 'bad', text: `${path} (${setting}) is open to others`, mend: `chmod 600 ${path}` };
  }
  return ok(`${path} (${setting}) is closed to others`);
}

function stopFinding({ manager, ms }: StopTimeout, budget: number): Finding {
  if (ms > budget) return ok(`${manager} gives a stop ${ms} ms, it takes up to ${budget} ms`);
  const seconds = Math.ceil(budget / 1_000) + 1;
  const folder = '/etc/systemd/system/wshub.service.d';
  const mend =
    manager === 'PM2'
      ? `kill_timeout: ${seconds}_000,   # in ecosystem.config.js; then pm2 delete wshub and pm2 start`
      : `mkdir -p ${folder} && printf '[Service]\\nTimeoutStopSec=${seconds}\\n' > ${folder}/stop.conf && systemctl daemon-reload`;
  return {
    level: 'bad',
    text: `${manager} kills a stop after ${ms} ms, which takes up to ${budget} ms`,
    mend,
  };
}

export function examine(facts: Facts, settings: Settings): Finding[] {
  return checks.flatMap((check) => check(facts, settings));
}
