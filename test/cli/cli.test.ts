/** The command line: its output, and the precedence of environment and file. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { commands } from '../../src/cli/program.ts';
import { settingsRows } from '../../src/config/settings.ts';
import { connect, hubFor, runCli, temporaryFolder } from '../support.ts';

describe('wshub', () => {
  it('--help names every command and every setting with its default, within 100 columns', async () => {
    const { code, stdout, stderr } = await runCli(['--help']);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    const words = stdout.replaceAll(/\s+/g, ' ');
    for (const { env, name, help, default: value } of settingsRows()) {
      assert.ok(words.includes(` ${env} [${name}] ${help} Default: ${value}.`), env);
    }
    for (const { name, summary } of commands) {
      assert.match(stdout, new RegExp(`^  ${name} .*${summary.replaceAll(/[()]/g, '.')}$`, 'm'));
    }
    for (const word of ['--config', '--version', 'Examples:']) assert.ok(stdout.includes(word), word);
  });

  for (const { name: command } of commands) {
    it(`${command} --help has usage, exit codes and examples of that command`, async () => {
      const { code, stdout, stderr } = await runCli([command, '--help']);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      assert.ok(stdout.startsWith(`Usage: wshub ${command} [options]`), stdout);
      assert.match(stdout, new RegExp(`^Exit code 0: [^]*^Examples:\\n.*wshub ${command}\\b`, 'm'));
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    });
  }

  it('--version is the version of the package', async () => {
    const file = join(import.meta.dirname, '../../package.json');
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
    assert.deepEqual(await runCli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('check-config checks the settings and starts nothing', async (t) => {
    const file = join(temporaryFolder(t), 'config.json');
    writeFileSync(file, '{"port": 9000}');
    const good = await runCli(['check-config', '--config', file]);
    assert.deepEqual(good, { code: 0, stdout: 'configuration OK\n', stderr: '' });
    writeFileSync(file, '{"port": -1}');
    const bad = await runCli(['check-config', '--config', file]);
    assert.deepEqual({ code: bad.code, stdout: bad.stdout }, { code: 1, stdout: '' });
    assert.match(
      bad.stderr,
      /^wshub: port in .*: -1 is not allowed, it must be a whole number from 0 to 65535\n$/,
    );
    const mended = await runCli(['check-config', '--config', file], { WSHUB_PORT: '1' });
    assert.equal(mended.code, 0, 'a value that the environment overrides is not used');
  });

  it('takes settings from the file, paths from its folder, and lets the environment win', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'shout.js'), 'export default { types: { shout: () => "HELLO" } };\n');
    writeFileSync(join(folder, 'secret'), 'the-token-of-the-file\n');
    const file = join(folder, 'config.json');
    const settings = { workers: 3, maxPayload: 40, handlers: 'shout.js', adminTokenFile: 'secret' };
    writeFileSync(file, JSON.stringify(settings));
    const hub = await hubFor(t, { workers: 1, args: ['start', '--config', file] });
    assert.equal((await hub.logged('hub ready'))['workers'], 1);
    const client = await connect(hub, 'config');
    client.send({ type: 'shout' });
    assert.equal(await client.next(), 'HELLO');
    const headers = { authorization: 'Bearer the-token-of-the-file' };
    assert.equal((await hub.admin('GET', '/state', { headers })).status, 200);
    assert.equal((await hub.admin('GET', '/state')).status, 403);
    client.send('x'.repeat(40));
    assert.equal((await client.end()).code, 1009);
  });
});
