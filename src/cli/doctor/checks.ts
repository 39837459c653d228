/**
 * The checks of the machine: one function each. A check looks only at the facts of facts.ts and at the settings, so
 * that it can be tested on a machine without the problem.
 */
import type { Settings } from '../../config/settings.ts';
import { oldestNode } from '../../platform/newer-node.ts';
import { stopBudgetMs } from '../../primary/drain-orders.ts';
import { engineFindings } from './engine-checks.ts';
import type { Facts, KeyFile } from './facts.ts';
import { bad, ok, skip, warn, type Check, type Finding } from './finding.ts';
import type { StopTimeout } from './managers.ts';
import type { PortFacts } from './ports.ts';
import { settingChecks } from './setting-checks.ts';

/** With fewer, a hub runs out of descriptors at a few thousand clients. */
const wantedOpenFiles = 65_536;
const wantedSomaxconn = 4_096;

const machineChecks: readonly Check[] = [
  ({ nodeMajor }) =>
    nodeMajor >= oldestNode
      ? ok(`Node ${nodeMajor}`)
      : bad(`Node ${nodeMajor} is too old`, `npm ci   # installs Node ${oldestNode}`),

  ({ openFiles }) => {
    if (openFiles >= wantedOpenFiles) return ok(`${openFiles} open files per process`);
    const report = openFiles < 4_096 ? bad : warn;
    return report(
      `${openFiles} open files per process: each client needs one`,
      'ulimit -n 262144   # as root, in the shell that starts the hub; in a unit LimitNOFILE=262144',
    );
  },

  ({ somaxconn }) => {
    if (somaxconn === null) return skip('accept queue: /proc/sys/net/core/somaxconn cannot be read');
    if (somaxconn >= wantedSomaxconn) return ok(`accept queue of ${somaxconn} connections`);
    return warn(
      `accept queue of only ${somaxconn} connections`,
      `sysctl -w net.core.somaxconn=${wantedSomaxconn}`,
    );
  },

  ({ ports }) => ports.map(portFinding),

  ({ runtimeDir }) => {
    if (!runtimeDir) return skip('runtime directory: it is created at the start');
    const { path, mode, ownedByUs } = runtimeDir;
    if (!ownedByUs) return bad(`${path} belongs to another user`, `chown $(id -u) ${path}`);
    if ((mode & 0o077) === 0) return ok(`runtime directory ${path}`);
    return bad(`runtime directory ${path} is accessible to other users`, `chmod 700 ${path}`);
  },

  ({ keyFiles }) => keyFiles.map(keyFinding),

  ({ stopTimeouts }, settings) => {
    const budget = stopBudgetMs(settings);
    if (stopTimeouts.length === 0) {
      return skip(`stop timeout: neither PM2 nor systemd found; the hub needs up to ${budget} ms`);
    }
    return stopTimeouts.map((timeout) => stopFinding(timeout, budget));
  },

  ({ engine }) => engineFindings(engine),

  ({ clockSynchronized }) => {
    if (clockSynchronized === null) return skip('clock: timedatectl does not say whether it is synchronized');
    if (clockSynchronized) return ok('clock is synchronized');
    return warn('clock is not synchronized, and tokens expire by it', 'timedatectl set-ntp true');
  },
];

function portFinding({ setting, port, holder, reason, process }: PortFacts): Finding {
  const name = `${setting} ${port}`;
  if (holder === 'nobody') return ok(`${name} is free`);
  if (holder === 'hub') return ok(`${name} is in use by the running hub`);
  if (holder === 'systemd') return ok(`${name} is reserved for the hub by its socket unit`);
  if (process) {
    const { pid, command } = process;
    return bad(`${name} is in use by process ${pid}: ${command}`, `kill ${pid}   # or set ${setting}`);
  }
  return bad(
    `${name}: ${reason}`,
    `ss -ltnp 'sport = :${port}'   # as root shows the process; stop it, or set ${setting}`,
  );
}

function keyFinding({ setting, path, mode, isPublic, openedByUnit }: KeyFile): Finding {
  const file = `${path} (${setting})`;
  if (mode === null) return bad(`${file} does not exist`, creationOf(setting, path));
  if (openedByUnit && (mode & 0o004) === 0) {
    const credential = `/etc/wshub/${setting === 'WSHUB_JWT_SECRET_FILE' ? 'jwt.secret' : 'admin.token'}`;
    return bad(
      `${file} cannot be read by the user of wshub.service`,
      isPublic
        ? `chmod 644 ${path}`
        : `install -m 600 ${path} ${credential}   # the unit passes this file to the hub; then remove the setting`,
    );
  }
  if (isPublic && (mode & 0o022) !== 0) {
    return bad(`${file} is writable by other users`, `chmod 644 ${path}`);
  }
  if (!isPublic && (mode & 0o077) !== 0) {
    return bad(`${file} is accessible to other users`, `chmod 600 ${path}`);
  }
  return ok(`${file} is protected from other users`);
}

function creationOf(setting: KeyFile['setting'], path: string): string {
  const random = `(umask 077; head -c 32 /dev/urandom | base64 > ${path})`;
  const commands: Record<KeyFile['setting'], string> = {
    WSHUB_ADMIN_TOKEN_FILE: random,
    WSHUB_JWT_SECRET_FILE: random,
    WSHUB_JWT_PUBLIC_KEY_FILE: `cp PUBLIC-KEY.pem ${path}   # the public key of the token issuer`,
    WSHUB_REDIS_PASSWORD_FILE: `(umask 077; cat > ${path})   # then type the password of the server`,
    WSHUB_API_KEYS_FILE: `wshub api-key   # prints an entry; the file is a list of them: ${path}`,
  };
  return commands[setting];
}

function stopFinding({ manager, ms }: StopTimeout, budget: number): Finding {
  if (ms > budget) return ok(`${manager} allows ${ms} ms for a stop, the hub needs up to ${budget} ms`);
  const seconds = Math.ceil(budget / 1_000) + 1;
  const folder = '/etc/systemd/system/wshub.service.d';
  return bad(
    `${manager} kills a stop after ${ms} ms, the hub needs up to ${budget} ms`,
    manager === 'PM2'
      ? `kill_timeout: ${seconds}_000,   # in ecosystem.config.js; then pm2 delete wshub and pm2 start`
      : `mkdir -p ${folder} && printf '[Service]\\nTimeoutStopSec=${seconds}\\n' > ${folder}/stop.conf && systemctl daemon-reload`,
  );
}

/** The findings of all checks, in the order of the checks. */
export function examine(facts: Facts, settings: Settings): Finding[] {
  return [...machineChecks, ...settingChecks].flatMap((check) => check(facts, settings));
}
