/** The command line, started with an older Node than it needs. Runs what `npm run build` has built. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cleanEnvironment, eventually, temporaryFolder } from '../support.ts';

const built = join(import.meta.dirname, '../../dist/cli.js');

const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((file) => {
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  return status === 0 && Number(/^v(\d+)/.exec(stdout)?.[1]) < 24;
});

describe(
  'wshub on an older Node',
  { skip: oldNode === undefined && 'no Node below 24 on this machine' },
  () => {
    const node = oldNode ?? '';

    it('hands over to the Node in node_modules, with arguments and exit code', () => {
      const env = cleanEnvironment({});
      const good = spawnSync(node, [built, '--version'], { env, encoding: 'utf8' });
      assert.deepEqual([good.status, good.stderr], [0, '']);
      assert.match(good.stdout, /^\d+\.\d+\.\d+/);
      const bad = spawnSync(node, [built, 'nonsense'], { env, encoding: 'utf8' });
      assert.equal(bad.status, 1);
      assert.match(bad.stderr, /^wshub: unknown command "nonsense"/);
    });

    it('passes signals on', async (t) => {
      const env = cleanEnvironment({
        WSHUB_HOST: '127.0.0.1',
        WSHUB_PORT: '0',
        WSHUB_OPS_PORT: '0',
        WSHUB_WORKERS: '1',
        TMPDIR: temporaryFolder(t),
      });
      const child = spawn(node, [built], { env, stdio: ['pipe', 'pipe', 'inherit'] });
      const ended = new Promise((resolve) =>
        child.on('exit', (...how) => {
          resolve(how);
        }),
      );
      let log = '';
      child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
      await eventually(() => (log.includes('"hub ready"') ? true : undefined), 'a hub that is ready');
      assert.match(log, /"node":"v24\./);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
      assert.match(log, /"hub stopped"/);
    });
  },
);
