/** The hub under the real pm2, with the ecosystem file that users have; the daemon is a private one. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { connect, eventually, type LogLine } from '../support.ts';

const root = join(import.meta.dirname, '../..');
const home = mkdtempSync(join(tmpdir(), 'wshub-pm2-'));
const signalsFile = join(home, 'signals');
const commandTimeoutMs = 90_000;

/** A handlers module that records the signals of each worker. */
const handlers = `
  import { appendFileSync } from 'node:fs';
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => appendFileSync(${JSON.stringify(signalsFile)}, signal + '\\n'));
  }
  export default { types: {} };
`;

const run = promisify(execFile);

/** Returns its output. */
async function pm2(...args: string[]): Promise<string> {
  const own = Object.entries(process.env).filter(([name]) => !/^(WSHUB_|NODE_TEST_CONTEXT$)/.test(name));
  const env = {
    ...Object.fromEntries(own),
    PM2_HOME: home,
    PM2_DISCRETE_MODE: 'true',
    WSHUB_HOST: '127.0.0.1',
    WSHUB_PORT: '0',
    WSHUB_OPS_PORT: '0',
    WSHUB_WORKERS: '2',
    WSHUB_HANDLERS: join(home, 'handlers.js'),
    WSHUB_DRAIN_SPREAD_MS: '3000',
  };
  const command = [join(root, 'node_modules/pm2/bin/pm2'), ...args];
  const { stdout } = await run(process.execPath, command, { cwd: root, env, timeout: commandTimeoutMs });
  return stdout;
}

/** Returns the log lines since the first start. */
function lines(): LogLine[] {
  const file = join(home, 'logs/wshub-out.log');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
}

function logged(msg: string, times = 1): Promise<LogLine> {
  return eventually(() => lines().filter((line) => line.msg === msg)[times - 1], `"${msg}" ${times} times`);
}

/** Returns the last exit code of the hub. Its last lines may be missing: PM2 stops reading when the process has exited. */
async function exitCode(): Promise<unknown> {
  const [hub] = JSON.parse(await pm2('jlist')) as { pm2_env: { exit_code?: number } }[];
  return hub?.pm2_env.exit_code;
}

async function primaryPid(): Promise<number> {
  return Number((await pm2('pid', 'wshub')).trim());
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

describe('the hub under PM2', () => {
  let port = 0;
  before(async () => {
    writeFileSync(join(home, 'handlers.js'), handlers);
    writeFileSync(join(home, 'package.json'), '{"type": "module"}');
    await pm2('start', 'ecosystem.config.js');
    // `pm2 start` returns when the hub is ready; PM2 may write its log a moment later.
    port = Number((await logged('hub ready'))['port']);
  });
  after(async () => {
    await pm2('kill');
    rmSync(home, { recursive: true, force: true });
  });

  it('is ready when `pm2 start` returns', async () => {
    assert.ok(port > 0);
    const client = await connect({ port }, 'a');
    await client.close();
  });

  it('has workers without the agent of PM2', () => {
    const pids = lines().flatMap(({ msg, workerPid }) => (msg === 'worker ready' ? [Number(workerPid)] : []));
    assert.equal(pids.length, 2);
    for (const pid of pids) {
      assert.match(commandOf(pid), /dist\/main\.js/);
      assert.doesNotMatch(commandOf(pid), /pm2/i);
      assert.doesNotMatch(readFileSync(`/proc/${pid}/maps`, 'utf8'), /@pm2|pmx/);
    }
  });

  it('reloads on `pm2 sendSignal SIGHUP wshub` and keeps every socket until its turn', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => connect({ port }, 'a')));
    await pm2('sendSignal', 'SIGHUP', 'wshub');
    for (const client of clients) {
      const [first] = await client.take(1);
      assert.equal((first as { status: string }).status, 'draining');
    }
    const ends = clients.map(async (client) => (await client.end()).code);
    while (!lines().some(({ msg }) => msg === 'reload done')) {
      await (await connect({ port }, 'b')).close();
    }
    assert.deepEqual(new Set(await Promise.all(ends)), new Set([1012]));
  });

  it('is restarted when its primary dies', async () => {
    const before = await primaryPid();
    process.kill(before, 'SIGKILL');
    port = Number((await logged('hub ready', 2))['port']);
    assert.notEqual(await primaryPid(), before);
    await (await connect({ port }, 'a')).close();
  });

  it('drains on `pm2 stop`, within `kill_timeout`, and no signal reaches a worker', async () => {
    const client = await connect({ port }, 'a');
    const pid = await primaryPid();
    await pm2('stop', 'wshub');
    assert.equal((await client.end()).code, 1001);
    assert.equal(await exitCode(), 0);
    assert.equal(existsSync(`/proc/${pid}`), false);
    assert.equal(existsSync(signalsFile), false, 'a worker got a signal');
  });
});
