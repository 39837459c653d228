/**
 * `npm run test:systemd`: boots a minimal Debian with a real systemd in a container with a network of its own, and
 * runs systemd.ts against the installed package. Needs root, debootstrap and systemd-container. The debootstrapped
 * folder is kept in WSHUB_TEST_CACHE (default: ~/.cache/wshub) for the next run.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '../..');
const cache = process.env['WSHUB_TEST_CACHE'] ?? join(homedir(), '.cache/wshub');
const base = join(cache, 'debian-systemd');
const packages = 'systemd,systemd-sysv,dbus,procps,libstdc++6';
const bootTimeoutMs = 120_000;

/** The machine's own mirror and release. */
function mirror(): { uri: string; suite: string } {
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const policy = execFileSync('apt-cache', ['policy'], { encoding: 'utf8' });
  const uri = new RegExp(`(https?://\\S+) ${suite}/main`).exec(policy)?.[1];
  if (uri === undefined) throw new Error(`no mirror of ${suite} among the sources of apt`);
  return { uri, suite };
}

function bootstrap(): void {
  if (existsSync(base)) return;
  mkdirSync(cache, { recursive: true });
  const { uri, suite } = mirror();
  const fresh = `${base}.${process.pid}`;
  execFileSync('debootstrap', ['--variant=minbase', `--include=${packages}`, suite, fresh, uri], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  renameSync(fresh, base);
}

/** The package as it is now, and the same as a later version, to upgrade to. */
function buildPackages(folder: string): void {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  for (const name of [version, `${version}+later`]) {
    const env = { ...process.env, WSHUB_DEB_VERSION: name };
    execFileSync(join(root, 'deploy/debian/build.sh'), { env, stdio: ['ignore', 'ignore', 'inherit'] });
    const file = readdirSync(root).find(
      (entry) => entry.startsWith(`wshub_${name}_`) && entry.endsWith('.deb'),
    );
    if (file === undefined) throw new Error(`no package of version ${name}`);
    cpSync(join(root, file), join(folder, name === version ? 'wshub.deb' : 'wshub-later.deb'));
    rmSync(join(root, file));
  }
}

/** The container's init, seen from here. */
function leaderOf(nspawn: number): number | undefined {
  const children = readFileSync(`/proc/${nspawn}/task/${nspawn}/children`, 'utf8').trim();
  const pid = Number(children.split(' ')[0]);
  return pid > 0 ? pid : undefined;
}

bootstrap();
const machine = mkdtempSync(join(tmpdir(), 'wshub-machine-'));
execFileSync('cp', ['-a', '--reflink=auto', `${base}/.`, machine]);
buildPackages(join(machine, 'root'));
const nspawn = spawn(
  'systemd-nspawn',
  [
    '-q',
    '-D',
    machine,
    '--boot',
    '--register=no',
    '--keep-unit',
    '--private-network',
    '--machine=wshub-test',
  ],
  { stdio: 'ignore' },
);
let status: number | null;
try {
  const deadline = performance.now() + bootTimeoutMs;
  let leader: number | undefined;
  for (;;) {
    if (performance.now() > deadline || nspawn.exitCode !== null)
      throw new Error('the container did not boot');
    leader = leaderOf(nspawn.pid ?? 0);
    const state =
      leader === undefined
        ? ''
        : spawnSync('nsenter', ['-a', '-t', String(leader), 'systemctl', 'is-system-running'], {
            encoding: 'utf8',
          }).stdout.trim();
    if (state === 'running' || state === 'degraded') break;
    await sleep(200);
  }
  // The tests run here with the container's network, so that they reach its ports.
  ({ status } = spawnSync(
    'nsenter',
    [`--net=/proc/${leader}/ns/net`, process.execPath, '--test', join(import.meta.dirname, 'systemd.ts')],
    { stdio: 'inherit', env: { ...process.env, WSHUB_TEST_LEADER: String(leader) } },
  ));
} finally {
  const ended = new Promise((resolve) => nspawn.once('exit', resolve));
  if (nspawn.exitCode === null) {
    nspawn.kill('SIGKILL');
    await ended;
  }
  rmSync(machine, { recursive: true, force: true });
}
process.exit(status ?? 1);
