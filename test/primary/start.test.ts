/** Starts that only the operator can fix: one line on standard error, exit code 1, no stack trace, no files left. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hubFor, runCli, startHub, temporaryFolder, type Environment, type HubProcess } from '../support.ts';

const quiet = { WSHUB_HOST: '127.0.0.1', WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', WSHUB_WORKERS: '2' };

/** Asserts that a start is refused with the one line. */
async function assertRefused(line: RegExp, env: Environment, args: readonly string[] = []): Promise<void> {
  const { code, stderr } = await runCli(args, { ...quiet, ...env });
  assert.match(stderr, /^wshub: [^\n]+\n$/, 'one line on standard error');
  assert.match(stderr, line);
  assert.doesNotMatch(stderr, /\n\s+at /);
  assert.equal(code, 1);
}

describe('a start is refused', () => {
  for (const setting of ['WSHUB_PORT', 'WSHUB_OPS_PORT']) {
    it(`when the port of ${setting} is in use, and leaves no runtime directory`, async (t) => {
      const folder = temporaryFolder(t);
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      t.after(() => server.close());
      const port = String((server.address() as AddressInfo).port);
      await assertRefused(new RegExp(`${setting} ${port} on 127.0.0.1: the port is in use`), {
        [setting]: port,
        TMPDIR: folder,
      });
      assert.deepEqual(readdirSync(folder), []);
    });
  }

  it('when the address is not of this machine', async () => {
    await assertRefused(/WSHUB_PORT 0 on 192\.0\.2\.1: the address is not one of this machine/, {
      WSHUB_HOST: '192.0.2.1',
    });
  });

  it('when the config file cannot be read, is not JSON, or is no object', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'config.json');
    await assertRefused(/config file .*config\.json cannot be read: ENOENT/, {}, ['--config', file]);
    writeFileSync(file, '{"port": 1,}');
    await assertRefused(/config file .*config\.json is not JSON/, {}, ['--config', file]);
    writeFileSync(file, '[]');
    await assertRefused(/config file .*config\.json must hold one JSON object/, {}, ['--config', file]);
  });

  it('when a setting is unknown', async (t) => {
    const file = join(temporaryFolder(t), 'config.json');
    writeFileSync(file, '{"prot": 8080}');
    await assertRefused(/prot in .*config\.json is not a setting/, {}, ['--config', file]);
    await assertRefused(/WSHUB_PROT is not a setting/, { WSHUB_PROT: '8080' });
  });

  it('when a value is bad: the line names the setting, the value and what is allowed', async (t) => {
    const file = join(temporaryFolder(t), 'config.json');
    writeFileSync(file, '{"workers": "2"}');
    const fromFile = { WSHUB_WORKERS: undefined };
    await assertRefused(
      /workers in .*: "2" is not allowed, it must be a whole number from 1 to 256/,
      fromFile,
      ['--config', file],
    );
    await assertRefused(/WSHUB_MAX_PAYLOAD: "64k" is not allowed.*number/, { WSHUB_MAX_PAYLOAD: '64k' });
    await assertRefused(/WSHUB_LOG_LEVEL: "loud" .*trace, debug, info/, { WSHUB_LOG_LEVEL: 'loud' });
    await assertRefused(/WSHUB_PORT: "" is not allowed/, { WSHUB_PORT: '' });
  });

  it('when an argument is unknown', async () => {
    await assertRefused(/unknown command "serve"/, {}, ['serve']);
    await assertRefused(/--prot/, {}, ['--prot']);
    await assertRefused(/too many arguments for 'start'/, {}, ['start', 'start']);
  });
});

describe('a runtime directory is refused', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ workers: 1 });
  });
  after(() => hub.end());

  it('when another hub uses it, which serves on', async () => {
    await assertRefused(/runtime directory .* is in use by another hub/, {
      WSHUB_RUNTIME_DIR: hub.runtimeDir,
    });
    assert.equal((await hub.admin('GET', '/state')).status, 200);
  });

  it('when it is open to others, cannot be made, or is too long for a socket', async (t) => {
    const open = join(temporaryFolder(t), 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    await assertRefused(/accessible to other users; fix: chmod 700/, { WSHUB_RUNTIME_DIR: open });
    await assertRefused(/runtime directory .*\/dev\/null is not a directory/, {
      WSHUB_RUNTIME_DIR: '/dev/null/wshub',
    });
    const file = join(temporaryFolder(t), 'file');
    writeFileSync(file, '');
    await assertRefused(/runtime directory: .*\/file is a file/, { WSHUB_RUNTIME_DIR: file });
    const long = join(temporaryFolder(t), 'x'.repeat(100));
    await assertRefused(/longer than \d+ bytes/, { WSHUB_RUNTIME_DIR: long });
  });
});

describe('a runtime directory', () => {
  it('is made with mode 0700, and taken over from a hub that was killed', async (t) => {
    const folder = join(temporaryFolder(t), 'made');
    const killed = await hubFor(t, { env: { WSHUB_RUNTIME_DIR: folder } });
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    killed.signal('SIGKILL');
    await killed.ended();
    const next = await hubFor(t, { env: { WSHUB_RUNTIME_DIR: undefined, RUNTIME_DIRECTORY: folder } });
    assert.equal((await next.logged('hub starts'))['runtimeDir'], folder);
  });
});
