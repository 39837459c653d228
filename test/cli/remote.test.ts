/** The commands that ask a running hub, as processes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import {
  cleanEnvironment,
  connect,
  eventually,
  hubFor,
  runCli,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const cli = join(import.meta.dirname, '../../src/cli.ts');
const namespaces = JSON.stringify([{ name: 'news', historySize: 10, historyTtl: '1h', presence: true }]);

/** The settings of the hub, as an operator would give them to the command. */
function settingsOf(hub: HubProcess): Record<string, string> {
  return {
    WSHUB_HOST: '127.0.0.1',
    WSHUB_PORT: String(hub.port),
    WSHUB_OPS_PORT: String(hub.opsPort),
    WSHUB_ADMIN_TOKEN: 'the-token-of-the-tests-of-the-command-line',
  };
}

async function hubOf(t: TestContext, env: Record<string, string> = {}): Promise<HubProcess> {
  const token = 'the-token-of-the-tests-of-the-command-line';
  return hubFor(t, { workers: 2, env: { WSHUB_NAMESPACES: namespaces, WSHUB_ADMIN_TOKEN: token, ...env } });
}

/** Runs a command that must succeed, and returns the lines that it prints. */
async function lines(hub: HubProcess, ...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runCli(args, settingsOf(hub));
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().split('\n');
}

async function failure(hub: HubProcess, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, settingsOf(hub));
  assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
  return stderr;
}

describe('the commands for a running hub', () => {
  it('publish, list and close', async (t) => {
    const hub = await hubOf(t);
    const reader = await connect(hub, 'news:1');
    const [said] = await lines(hub, 'publish', 'news:1', '{"title":"one"}');
    assert.match(said ?? '', /^published to news:1 at [\w-]+:1$/);
    await lines(hub, 'publish', 'news:1', 'two', '--text');
    assert.deepEqual(await reader.take(2), [{ title: 'one' }, 'two']);

    assert.deepEqual(await lines(hub, 'channels'), ['       1  news:1']);
    const [member] = await lines(hub, 'presence', 'news:1');
    assert.equal(member, `${reader.connectionId}  -`);
    const history = await lines(hub, 'history', 'news:1');
    assert.match(history.join('\n'), /^1 {2}\S+Z {2}\{"title":"one"\}\n2 {2}\S+Z {2}"two"$/);
    const [newest] = await lines(hub, 'history', 'news:1', '--reverse', '--limit', '1', '--json');
    assert.equal((JSON.parse(newest ?? '') as { offset: number }).offset, 2);

    assert.deepEqual(await lines(hub, 'kill', 'connection', reader.connectionId), ['closed 1 connection']);
    assert.equal((await reader.end()).code, 4000);
  });

  it('say what the hub refuses, and that no hub answers', async (t) => {
    const hub = await hubOf(t);
    assert.match(await failure(hub, 'publish', 'room', 'no json'), /^wshub: the hub answers with 400: /);
    assert.match(
      await failure(hub, 'history', 'room'),
      /^wshub: the hub answers with 400: the channel has no history/,
    );
    assert.match(await failure(hub, 'kill', 'user', 'nobody'), /^wshub: the hub answers with 404: /);
    assert.match(await failure(hub, 'kill', 'everybody', 'x'), /must be connection, user or channel/);
    await hub.end();
    assert.match(await failure(hub, 'channels'), /^wshub: no hub answers on 127\.0\.0\.1:\d+: /);
    assert.match(await failure(hub, 'tail', 'room'), /^wshub: no hub answers on /);
  });

  it('tail prints each message once, also over the death of its worker, and ends when it is closed for good', async (t) => {
    const hub = await hubOf(t);
    await lines(hub, 'publish', 'news:1', '0');
    const tail = spawn(process.execPath, [cli, 'tail', 'news:1', '--history', '5'], {
      env: cleanEnvironment(settingsOf(hub)),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => tail.kill('SIGKILL'));
    const printed: string[] = [];
    createInterface(tail.stdout).on('line', (line) => printed.push(line));
    let errors = '';
    tail.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    await eventually(() => printed.length >= 1 || undefined, 'the message');
    assert.deepEqual(printed, ['0']);
    for (const { pid } of hub.workers) process.kill(pid, 'SIGKILL');
    await eventually(() => errors.includes('connection lost') || undefined, 'the loss of the connection');
    await eventually(
      async () => (await runCli(['publish', 'news:1', '1'], settingsOf(hub))).code === 0 || undefined,
      'a worker that publishes',
    );
    await eventually(() => printed.length >= 2 || undefined, 'the message');
    assert.deepEqual(printed, ['0', '1']);
    const ended = new Promise((resolve) => tail.on('exit', resolve));
    await lines(hub, 'kill', 'channel', 'news:1');
    assert.equal(await ended, 1);
    assert.match(errors, /the hub has closed the connection: 4001 channel_deleted\n$/);
    assert.deepEqual(printed, ['0', '1']);
  });

  it('token makes a token that the hub accepts, with what it may do and no more', async (t) => {
    const file = join(temporaryFolder(t), 'secret');
    writeFileSync(file, 'a-secret-of-at-least-thirty-two-bytes', { mode: 0o600 });
    const hub = await hubOf(t, { WSHUB_JWT_SECRET_FILE: file });
    const env = { ...settingsOf(hub), WSHUB_JWT_SECRET_FILE: file };
    const made = await runCli(['token', '--sub', 'anna', '--channel', 'news:*', '--can', 'subscribe'], env);
    assert.deepEqual({ code: made.code, stderr: made.stderr }, { code: 0, stderr: '' });
    const token = made.stdout.trim();
    const anna = await connect(hub, `news:1?token=${token}`);
    assert.deepEqual(await lines(hub, 'presence', 'news:1'), [`${anna.connectionId}  anna`]);
    await assert.rejects(connect(hub, `room?token=${token}`), /403/);
    await anna.close();
    const wrong = await runCli(['token', '--can', 'fly'], env);
    assert.match(wrong.stderr, /^wshub: --can fly is not allowed, it must be of subscribe, publish/);
    const noKey = await runCli(['token'], settingsOf(hub));
    assert.match(noKey.stderr, /^wshub: no key: set WSHUB_JWT_SECRET_FILE/);
  });

  it('reload starts a reload', async (t) => {
    const hub = await hubOf(t);
    assert.deepEqual(await lines(hub, 'reload'), ['reload started']);
    await hub.logged('reload done');
  });
});
