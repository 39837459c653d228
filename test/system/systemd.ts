/** The installed package under a real systemd. Run by boot.ts, in the network of the booted container. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stopBudgetMs } from '../../src/primary/drain-orders.ts';
import { settingsTable } from '../../src/settings.ts';
import { connect, request } from '../support.ts';

const leader = process.env['WSHUB_TEST_LEADER'] ?? '';
delete process.env['WSHUB_TEST_LEADER'];
const hub = { port: 8080 };
const opsPort = 9180;
const patienceMs = 60_000;

const run = promisify(execFile);

/** Runs a command in the container; what it prints. */
async function inside(...command: string[]): Promise<string> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  const { stdout, stderr } = await run('nsenter', ['-a', '-t', leader, ...command], {
    env,
    timeout: patienceMs,
  });
  return (stdout + stderr).trim();
}

async function property(name: string): Promise<string> {
  return inside('systemctl', 'show', '-P', name, 'wshub.service');
}

async function until(what: string, reached: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await reached())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(100);
  }
}

/** Reads the answer of a probe; 0 where nobody answers. */
async function probe(path: string): Promise<number> {
  return request(opsPort, 'GET', path).then(
    ({ status }) => status,
    () => 0,
  );
}

async function untilReady(): Promise<void> {
  await until('the hub is ready', async () => (await probe('/readyz')) === 200);
}

interface JournalEntry {
  PRIORITY: string;
  MESSAGE: string;
}

async function journal(): Promise<JournalEntry[]> {
  const text = await inside('journalctl', '-u', 'wshub.service', '-o', 'json', '--no-pager');
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as JournalEntry] : []));
}

describe('the package under systemd', () => {
  it('installs and starts: the hub is ready when that returns', async () => {
    await inside('ip', 'link', 'set', 'lo', 'up').catch(() => run('ip', ['link', 'set', 'lo', 'up']));
    await inside('dpkg', '-i', '/root/wshub.deb');
    assert.equal(await property('ActiveState'), 'active');
    assert.equal(await probe('/readyz'), 200);
    assert.match(await inside('wshub', '--version'), /^\d+\.\d+\.\d+$/);
    assert.match(await property('StatusText'), /workers serve/);
  });

  it('has units that systemd finds nothing wrong with, and that expose little', async () => {
    assert.equal(
      await inside(
        'systemd-analyze',
        'verify',
        '/lib/systemd/system/wshub.service',
        '/lib/systemd/system/wshub.socket',
      ),
      '',
    );
    assert.equal(await inside('systemd-analyze', 'verify', '/lib/systemd/system/wshub@.service'), '');
    const security = await inside('systemd-analyze', 'security', '--no-pager', 'wshub.service');
    const exposure = Number(/Overall exposure level[^\d]*([\d.]+)/.exec(security)?.[1]);
    assert.ok(exposure <= 1.5, `exposure ${exposure}`);
  });

  it('gives a stop more time than its budget', async () => {
    const { drainSpreadMs, stopSpreadMs, closeTimeoutMs } = settingsTable;
    const budget = stopBudgetMs({
      drainSpreadMs: drainSpreadMs.default,
      stopSpreadMs: stopSpreadMs.default,
      closeTimeoutMs: closeTimeoutMs.default,
    });
    assert.match(await property('TimeoutStopUSec'), /^20s$/);
    assert.ok(20_000 > budget);
  });

  it('gives the credential to the hub and to no other user', async () => {
    const token = await inside('cat', '/etc/wshub/admin.token');
    const answer = await request(opsPort, 'GET', '/state', { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    for (const file of ['/etc/wshub/admin.token', '/run/credentials/wshub.service/admin.token']) {
      await assert.rejects(inside('setpriv', '--reuid=65534', '--clear-groups', 'cat', file), /denied/);
    }
    const pid = await property('MainPID');
    const children = (await inside('cat', `/proc/${pid}/task/${pid}/children`)).split(' ');
    const env = await inside('cat', `/proc/${children[0]}/environ`);
    assert.doesNotMatch(env, /NOTIFY_SOCKET|WATCHDOG_|LISTEN_/);
    assert.doesNotMatch(env, new RegExp(token));
  });

  it('logs JSON with its priority to the journal', async () => {
    const entries = await journal();
    const ready = entries.find(({ MESSAGE }) => MESSAGE.includes('"hub ready"'));
    assert.equal(ready?.PRIORITY, '6');
    assert.equal((JSON.parse(ready.MESSAGE) as { level: string }).level, 'info');
  });

  it('keeps serving on `systemctl reload`', async () => {
    await inside('mkdir', '-p', '/etc/wshub');
    await inside('sh', '-c', `echo '{"drainSpreadMs": 2000}' > /etc/wshub/wshub.json`);
    const client = await connect(hub, 'a');
    const pid = await property('MainPID');
    await inside('systemctl', 'reload', 'wshub');
    assert.equal(((await client.next()) as { status: string }).status, 'draining');
    while (client.closed === undefined) await (await connect(hub, 'b')).close();
    assert.equal(client.closed.code, 1012);
    await untilReady();
    assert.equal(await property('MainPID'), pid);
  });

  it('queues who connects while it restarts', async () => {
    const client = await connect(hub, 'a');
    const restarted = inside('systemctl', 'restart', 'wshub');
    assert.equal((await client.end()).code, 1001);
    // From now on nobody listens for a while; every connect must come through all the same.
    const progress = { done: false };
    void restarted.then(() => (progress.done = true));
    do {
      const newcomer = await connect(hub, 'b').catch((error: unknown) => error as Error);
      // A handshake that had reached the old hub is refused by it or cut off; the connect itself never is.
      if (newcomer instanceof Error) assert.doesNotMatch(newcomer.message, /ECONNREFUSED/);
      else newcomer.ws.terminate();
    } while (!progress.done);
    await restarted;
    await (await connect(hub, 'c')).close();
  });

  it('comes back after its primary was killed', async () => {
    const pid = await property('MainPID');
    await inside('kill', '-9', pid);
    await (await connect(hub, 'a')).close(); // it waits in the socket until there is a worker again
    await untilReady();
    assert.equal(await property('MainPID'), pid);
  });

  it('is restarted by the watchdog when its primary hangs', async () => {
    const pid = await property('MainPID');
    const restarts = Number(await property('NRestarts'));
    await inside('kill', '-STOP', pid);
    await until('it has restarted', async () => !['0', pid].includes(await property('MainPID')));
    await untilReady();
    assert.equal(Number(await property('NRestarts')), restarts + 1);
    assert.match(await inside('journalctl', '-u', 'wshub.service', '--no-pager'), /Watchdog timeout/);
  });

  it('serves on after all workers died at once, with the passed socket', async () => {
    const pid = await property('MainPID');
    const children = (await inside('cat', `/proc/${pid}/task/${pid}/children`)).split(' ');
    await inside('kill', '-9', ...children);
    await until('it has restarted', async () => !['0', pid].includes(await property('MainPID')));
    await untilReady();
    await (await connect(hub, 'a')).close();
  });

  it('is upgraded without a refused connect', async () => {
    const client = await connect(hub, 'a');
    await inside('dpkg', '-i', '--force-confold', '/root/wshub-later.deb');
    assert.equal((await client.end()).code, 1001);
    assert.equal(await property('ActiveState'), 'active');
    await (await connect(hub, 'a')).close();
  });

  it('drains on a stop and ends clean', async () => {
    const client = await connect(hub, 'a');
    await inside('systemctl', 'stop', 'wshub.socket', 'wshub.service');
    assert.equal((await client.end()).code, 1001);
    assert.equal(await property('Result'), 'success');
    assert.equal(await property('ActiveState'), 'inactive');
    assert.match((await journal()).map(({ MESSAGE }) => MESSAGE).join('\n'), /"hub stopped"/);
  });

  it('runs from the template unit', async () => {
    await inside('sh', '-c', `echo '{"port": 8081, "opsPort": 9181, "workers": 1}' > /etc/wshub/a.json`);
    await inside('cp', '-p', '/etc/wshub/admin.token', '/etc/wshub/a.token');
    await inside('systemctl', 'start', 'wshub@a');
    await (await connect({ port: 8081 }, 'a')).close();
    await inside('systemctl', 'stop', 'wshub@a');
    await inside('rm', '/etc/wshub/a.json', '/etc/wshub/a.token');
  });

  it('is removed and purged cleanly', async () => {
    await inside('systemctl', 'start', 'wshub.socket', 'wshub.service');
    await inside('dpkg', '-r', 'wshub');
    assert.equal(await probe('/healthz'), 0);
    assert.equal(await inside('ls', '/etc/wshub/wshub.json'), '/etc/wshub/wshub.json');
    await inside('dpkg', '-P', 'wshub');
    const left = await inside(
      'sh',
      '-c',
      'ls -d /etc/wshub /usr/lib/wshub /var/lib/wshub /run/wshub 2>/dev/null; true',
    );
    assert.equal(left, '');
    assert.doesNotMatch(await inside('systemctl', 'list-unit-files', '--no-pager'), /wshub/);
  });
});
