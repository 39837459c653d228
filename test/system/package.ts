/**
 * What the documentation says of the installed package beyond its service: upgrade and rollback, another port, several hubs,
 * the kernel's limits, and its removal. Run by boot.ts after systemd.ts, in the same container.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../support.ts';
import { hub, inside, probe, property, shell } from './container.ts';
import { Commands } from './commands.ts';

const instance = { port: 8081, opsPort: 9181 };

async function installedVersion(): Promise<string> {
  return inside('dpkg-query', '-W', '-f', '${Version}', 'wshub');
}

/** Runs a command that restarts these hubs; every connect meanwhile must come through. */
async function withoutRefusal(command: string, ports: readonly { port: number }[]): Promise<void> {
  const clients = await Promise.all(ports.map((at) => connect(at, 'a')));
  const progress = { done: false };
  const installed = shell(command).then(() => (progress.done = true));
  do {
    for (const at of ports) {
      const newcomer = await connect(at, 'b').catch((error: unknown) => error as Error);
      if (newcomer instanceof Error) assert.doesNotMatch(newcomer.message, /ECONNREFUSED/);
      else newcomer.ws.terminate();
    }
  } while (!progress.done);
  await installed;
  for (const client of clients) assert.equal((await client.end()).code, 1001);
}

describe('the installed package', () => {
  const upgrade = new Commands('docs/deploy/upgrade.md', 'systemd-upgrade');
  it('runs a second hub from the template unit, beside the first', async () => {
    const commands = new Commands('docs/deploy/systemd.md', 'systemd-instance');
    await shell(commands.take("echo '{"));
    for (const beginning of ['sudo install', 'sudo mkdir', 'printf', 'sudo systemctl', 'sudo systemctl']) {
      await shell(commands.take(beginning));
    }
    assert.deepEqual(commands.left, []);
    assert.equal(await probe('/readyz', instance.opsPort), 200);
    for (const at of [instance, hub]) await (await connect(at, 'a')).close();
    assert.equal(await inside('systemd-analyze', 'verify', 'wshub@a.service', 'wshub@a.socket'), '');
    const text = await shell('wshub doctor --config /etc/wshub/a.json');
    assert.match(text, /^ok +WSHUB_PORT 8081 is reserved for the hub by its socket unit$/m);
  });

  it('queues clients of the second hub while it restarts', async () => {
    await withoutRefusal('systemctl restart wshub@a', [instance]);
  });

  it('runs an instance that has no socket unit', async () => {
    await shell(`echo '{"port": 8082, "opsPort": 9182}' > /etc/wshub/b.json`);
    await shell('install -m 600 /etc/wshub/a.token /etc/wshub/b.token && systemctl start wshub@b');
    await (await connect({ port: 8082 }, 'a')).close();
    await shell('systemctl stop wshub@b && rm /etc/wshub/b.*');
  });

  it('has everything that its documents link to', async () => {
    const readme = await inside('cat', '/usr/share/doc/wshub/README.md');
    const links = [...readme.matchAll(/\]\(((?!https?:|#)[^)#]+)/g)].map(([, link]) => link ?? '');
    const more = ['wshub.alerts.yml', 'wshub.rules.yml', 'prometheus.yml'].map(
      (f) => `deploy/prometheus/${f}`,
    );
    const files = [
      ...new Set([...links, ...more, 'dashboards/wshub-overview.json', 'deploy/example-handlers.ts']),
    ];
    assert.ok(files.length > 6);
    const rights = await shell(`cd /usr/share/doc/wshub && stat -L -c '%A %n' ${files.join(' ')}`);
    for (const line of rights.split('\n')) assert.match(line, /^[-d]r.xr.xr.x |^-rw-r--r-- /);
  });

  it('is upgraded without a refused connect, its instances with it', async () => {
    const before = await installedVersion();
    await shell(upgrade.take('dpkg-deb -x'));
    assert.match(await shell(upgrade.take('new/tree')), /configuration OK/);
    await withoutRefusal(upgrade.take('sudo dpkg -i'), [hub, instance]);
    assert.equal(await property('ActiveState'), 'active');
    assert.equal(await installedVersion(), `${before}+later`);
    assert.equal(await probe('/readyz', instance.opsPort), 200);
  });

  it('is rolled back in the same way, and keeps the settings', async () => {
    await withoutRefusal(upgrade.take('sudo dpkg -i'), [hub, instance]);
    assert.equal(await property('ActiveState'), 'active');
    assert.doesNotMatch(await installedVersion(), /later/);
    assert.match(await inside('cat', '/etc/wshub/wshub.json'), /drainSpreadMs/);
    assert.deepEqual(upgrade.left, []);
  });

  it('listens on another port', async () => {
    const commands = new Commands('docs/deploy/systemd.md', 'systemd-port');
    for (const beginning of ['sudo mkdir', 'printf', 'sudo systemctl', 'sudo systemctl', 'sudo systemctl']) {
      await shell(commands.take(beginning));
    }
    assert.deepEqual(commands.left, []);
    await (await connect({ port: 9000 }, 'a')).close();
    await assert.rejects(connect(hub, 'a').then(() => 'a connection'));
    await shell('rm -r /etc/systemd/system/wshub.socket.d && systemctl daemon-reload');
  });

  it('is run under the limits that docs/deploy/tuning.md names', async (t) => {
    const commands = new Commands('docs/deploy/tuning.md', 'tuning');
    await shell(commands.take('sudo cp'));
    await shell(commands.take('sudo sysctl'));
    assert.equal(await inside('sysctl', '-n', 'net.ipv4.ip_local_reserved_ports'), '8080,9180');
    assert.equal(await inside('sysctl', '-n', 'net.ipv4.tcp_max_syn_backlog'), '8192');
    const raise = commands.take('ulimit');
    // A container cannot raise the limit that it was given.
    if (Number(await shell('ulimit -Hn')) >= 262_144)
      assert.equal(await shell(`${raise} && ulimit -n`), '262144');
    else t.diagnostic(`not run, because this machine does not allow it: ${raise}`);
    assert.deepEqual(commands.left, []);
    assert.ok(Number(await inside('sysctl', '-n', 'fs.nr_open')) >= 262_144);
  });

  it('is removed and purged cleanly, its instances with it', async () => {
    const commands = new Commands('docs/deploy/systemd.md', 'systemd-remove');
    await shell(commands.take('sudo dpkg -r'));
    assert.deepEqual([await probe('/healthz'), await probe('/healthz', instance.opsPort)], [0, 0]);
    assert.equal(await inside('ls', '/etc/wshub/wshub.json'), '/etc/wshub/wshub.json');
    await inside('rm', '/etc/wshub/a.json', '/etc/wshub/a.token');
    await shell(commands.take('sudo dpkg -P'));
    assert.deepEqual(commands.left, []);
    const places = ['/etc/wshub', '/usr/lib/wshub', '/var/lib/wshub', '/run/wshub', '/run/wshub-a'];
    assert.equal(await shell(`ls -d ${places.join(' ')} 2>/dev/null; true`), '');
    assert.equal(await shell("find /etc/systemd -name '*wshub*' -not -path '*/wshub@a.socket.d*'"), '');
    assert.doesNotMatch(await inside('systemctl', 'list-unit-files', '--no-pager'), /wshub/);
    assert.doesNotMatch(await inside('systemctl', 'list-units', '--all', 'wshub*'), /wshub/);
  });
});
