/**
 * `npm run test:systemd`: boots a minimal Debian with a real systemd in a container with a network of its own, and
 * runs systemd.ts and package.ts against the installed package. Needs root, debootstrap and systemd-container. The debootstrapped
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
import { Commands } from './commands.ts';

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

/** The package as it is now, by the documented command, and the same as a later version; in root's home, as in docs/deploy/upgrade.md. */
function buildPackages(home: string): void {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const commands = new Commands('docs/deploy/systemd.md', 'systemd');
  commands.take('npm ci'); // what runs here is from it
  const command = commands.take('npm run package');
  for (const [name, folders] of [
    [version, ['.', 'old']],
    [`${version}+later`, ['new']],
  ] as const) {
    const env = { ...process.env, WSHUB_DEB_VERSION: name };
    execFileSync('sh', ['-c', command], { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
    const file = readdirSync(root).find(
      (entry) => entry.startsWith(`wshub_${name}_`) && entry.endsWith('.deb'),
    );
    if (file === undefined) throw new Error(`no package of version ${name}`);
    for (const folder of folders) cpSync(join(root, file), join(home, folder, file));
    rmSync(join(root, file));
  }
  cpSync(join(root, 'deploy/sysctl.conf'), join(home, 'deploy/sysctl.conf'));
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
let status: number | null = null;
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
  const inNetwork = [`--net=/proc/${leader}/ns/net`];
  execFileSync('nsenter', [...inNetwork, 'ip', 'link', 'set', 'lo', 'up']);
  // The tests run here with the container's network, so that they reach its ports.
  for (const file of ['systemd.ts', 'package.ts']) {
    const command = [process.execPath, '--test', join(import.meta.dirname, file)];
    ({ status } = spawnSync('nsenter', [...inNetwork, ...command], {
      stdio: 'inherit',
      env: { ...process.env, WSHUB_TEST_LEADER: String(leader) },
    }));
    if (status !== 0) break;
  }
} finally {
  const ended = new Promise((resolve) => nspawn.once('exit', resolve));
  if (nspawn.exitCode === null) {
    nspawn.kill('SIGKILL');
    await ended;
  }
  // The container's journal may live, and write, a moment longer.
  rmSync(machine, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
process.exit(status ?? 1);
