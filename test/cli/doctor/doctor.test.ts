/** `wshub doctor` on this machine: it finds real problems, and its fixes, run as printed, remove them. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { noRedis, RedisServer } from '../../redis-server.ts';
import { reservedPort } from '../../reserved-port.ts';
import { hubFor, runCli, temporaryFolder, type Environment } from '../../support.ts';

const root = join(import.meta.dirname, '../../..');

/** Returns report and exit code. Runs in a folder of its own, so that no ecosystem file is found. */
async function doctor(folder: string, env: Environment, args: readonly string[] = []) {
  const { code, stdout, stderr } = await runCli(
    ['doctor', ...args],
    { WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', ...env },
    folder,
  );
  assert.equal(stderr, '');
  const bad = stdout.split('\n').filter((line) => line.startsWith('bad'));
  const fixes = stdout.split('\n').flatMap((line) => /^ {6}fix: (.*)/.exec(line)?.[1] ?? []);
  return { code, stdout, bad, fixes };
}

/** The first fix that contains a text. */
function fixOf({ fixes, stdout }: { fixes: string[]; stdout: string }, name: string): string {
  const line = fixes.find((fix) => fix.includes(name));
  assert.ok(line, `a fix with ${name} in ${stdout}`);
  return line;
}

describe('wshub doctor', () => {
  it('exits with 1 for problems; its fixes, run as printed, remove them', async (t) => {
    const folder = temporaryFolder(t);
    const [runtimeDir, token, secret] = [join(folder, 'run'), join(folder, 'token'), join(folder, 'secret')];
    mkdirSync(runtimeDir);
    chmodSync(runtimeDir, 0o755);
    writeFileSync(token, 'a-token', { mode: 0o644 });
    const env = {
      WSHUB_RUNTIME_DIR: runtimeDir,
      WSHUB_ADMIN_TOKEN_FILE: token,
      WSHUB_JWT_SECRET_FILE: secret,
    };
    const before = await doctor(folder, env);
    assert.equal(before.code, 1, before.stdout);
    assert.equal(before.bad.length, 3, before.stdout);
    for (const name of [runtimeDir, token, secret]) {
      execFileSync('sh', ['-c', fixOf(before, name)]);
    }
    const after = await doctor(folder, env);
    assert.deepEqual(after.bad, []);
    assert.equal(after.code, 0);
    const hub = await hubFor(t, { env: { ...env, WSHUB_ADMIN_TOKEN: undefined } });
    assert.equal(hub.exit, null);
  });

  it('names the process that uses a port; its fix stops it', async (t) => {
    const folder = temporaryFolder(t);
    const port = String(reservedPort());
    const code = `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('listening'))`;
    const blocker = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => blocker.kill('SIGKILL'));
    await once(blocker.stdout, 'data');
    const env = { WSHUB_HOST: '127.0.0.1', WSHUB_PORT: port };
    const before = await doctor(folder, env);
    assert.equal(before.code, 1);
    assert.match(
      before.bad.join(),
      new RegExp(`WSHUB_PORT ${env.WSHUB_PORT} is in use by process ${blocker.pid}: .*createServer`),
    );
    const ended = once(blocker, 'exit');
    execFileSync('sh', ['-c', fixOf(before, 'kill')]);
    await ended;
    assert.equal((await doctor(folder, env)).code, 0);
  });

  it('prints no control characters and no forged line of a process that uses a port', async (t) => {
    const port = String(reservedPort());
    const code =
      `process.title = 'evil\\x1b[2J\\x9b\\nok    all is well\\n      fix: rm -rf /';` +
      `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('listening'))`;
    const filler = 'x'.repeat(200); // the title has as much room as the command line had
    const blocker = spawn(process.execPath, ['-e', code, filler], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => blocker.kill('SIGKILL'));
    await once(blocker.stdout, 'data');
    const { stdout, fixes, bad } = await doctor(temporaryFolder(t), {
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: port,
    });
    assert.match(bad.join(), /evil\\u\{1b\}\[2J.*\\nok {4}all is well\\n {6}fix: rm/);
    // eslint-disable-next-line no-control-regex -- the characters to find
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    assert.ok(!fixes.some((fix) => fix.startsWith('rm')), fixes.join());
  });

  it('finds the ports of a running hub well', async (t) => {
    const hub = await hubFor(t);
    const { code, stdout } = await doctor(temporaryFolder(t), {
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: String(hub.port),
      WSHUB_OPS_PORT: String(hub.opsPort),
    });
    assert.equal(code, 0, stdout);
    assert.match(stdout, new RegExp(`WSHUB_PORT ${hub.port} is in use by the running hub`));
    assert.match(stdout, new RegExp(`WSHUB_OPS_PORT ${hub.opsPort} is in use by the running hub`));
  });

  it('compares the ecosystem file of PM2 with the settings; its fix raises the timeout', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'ecosystem.config.js');
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(file, readFileSync(join(root, 'ecosystem.config.js')));
    assert.equal((await doctor(folder, {})).code, 0);
    const env = { WSHUB_STOP_SPREAD_MS: '20000' };
    const before = await doctor(folder, env);
    assert.match(before.bad.join(), /PM2 kills a stop after 20000 ms, the hub needs up to 33500 ms/);
    const [line] = fixOf(before, 'kill_timeout').split(' #');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/kill_timeout:.*/, line?.trim() ?? ''));
    assert.equal((await doctor(folder, env)).code, 0);
  });

  it('finds a limit of open files that is too low', () => {
    const command = `"${process.execPath}" src/cli.ts doctor`;
    const env = { ...process.env, WSHUB_PORT: '0', WSHUB_OPS_PORT: '0' };
    const shell = (script: string) =>
      execFileSync('bash', ['-c', script], { cwd: root, env, encoding: 'utf8' });
    // Node raises its soft limit to the hard one; `ulimit -n` lowers both.
    assert.match(shell(`ulimit -n 1024; ${command} || echo exit $?`), /^bad +1024 open files[^]*exit 1$/m);
  });

  it(
    'asks the server of the engine, and its fix makes it keep what it stores',
    { skip: noRedis },
    async (t) => {
      const server = await RedisServer.start(t, { args: ['--maxmemory-policy', 'allkeys-lru'] });
      const env = { WSHUB_ENGINE: 'redis', WSHUB_REDIS_URL: server.url };
      const report = await doctor(temporaryFolder(t), env);
      assert.ok(
        report.bad.some((line) => line.includes('maxmemory-policy is allkeys-lru')),
        report.stdout,
      );
      execFileSync('sh', ['-c', fixOf(report, 'noeviction')], {
        env: { ...process.env, ...env },
        stdio: 'ignore',
      });
      const fixed = await doctor(temporaryFolder(t), env);
      assert.match(fixed.stdout, /ok {4}engine keeps what it stores/);
      assert.match(fixed.stdout, /ok {4}machines that share the engine now: none/);
      await server.kill();
      const away = await doctor(temporaryFolder(t), env);
      assert.ok(
        away.bad.some((line) => line.includes('ECONNREFUSED')),
        away.stdout,
      );
    },
  );
});
