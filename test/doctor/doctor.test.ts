/** `wshub doctor`: each fault is found, with the line that mends it; and the command on this machine. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readSettings } from '../../src/config.ts';
import { examine, type Facts } from '../../src/doctor/checks.ts';
import { spanMs } from '../../src/doctor/facts.ts';
import { runCli, temporaryFolder } from '../support.ts';

const settings = readSettings({});
const well: Facts = {
  nodeMajor: 24,
  openFiles: 262_144,
  somaxconn: 4_096,
  portsInUse: [],
  runtimeDir: null,
  secretFiles: [],
  stopTimeout: { manager: 'systemd', ms: 20_000, mend: 'TimeoutStopSec=20' },
  clockSynchronized: true,
};

const faults: [string, Partial<Facts>, 'bad' | 'warn', RegExp][] = [
  ['an old Node', { nodeMajor: 20 }, 'bad', /npm ci/],
  ['few descriptors', { openFiles: 1_024 }, 'bad', /ulimit -n/],
  ['not many descriptors', { openFiles: 20_000 }, 'warn', /LimitNOFILE/],
  ['a short accept queue', { somaxconn: 128 }, 'warn', /sysctl -w net\.core\.somaxconn/],
  [
    'a port in use',
    { portsInUse: [{ setting: 'WSHUB_PORT', port: 8080, reason: 'in use' }] },
    'bad',
    /ss -ltnp/,
  ],
  ['an open directory', { runtimeDir: { path: '/r', mode: 0o755, ownedByUs: true } }, 'bad', /chmod 700 \/r/],
  ['a foreign directory', { runtimeDir: { path: '/r', mode: 0o700, ownedByUs: false } }, 'bad', /chown/],
  ['an open secret', { secretFiles: [{ path: '/t', mode: 0o100644 }] }, 'bad', /chmod 600 \/t/],
  ['a missing secret', { secretFiles: [{ path: '/t', mode: null }] }, 'bad', /create \/t/],
  [
    'an impatient manager',
    { stopTimeout: { manager: 'PM2', ms: 1_600, mend: 'kill_timeout' } },
    'bad',
    /kill_timeout/,
  ],
  ['a clock that nobody keeps', { clockSynchronized: false }, 'warn', /set-ntp/],
];

describe('the checks', () => {
  it('find nothing where all is well', () => {
    assert.deepEqual(
      examine(well, settings).filter(({ level }) => level !== 'ok'),
      [],
    );
  });

  for (const [name, fault, level, mend] of faults) {
    it(`find ${name} and say how to mend it`, () => {
      const findings = examine({ ...well, ...fault }, settings).filter((finding) => finding.level !== 'ok');
      assert.deepEqual(
        findings.map((finding) => finding.level),
        [level],
      );
      assert.match(findings[0]?.mend ?? '', mend);
    });
  }

  it('read the time spans of systemd', () => {
    assert.equal(spanMs('20s'), 20_000);
    assert.equal(spanMs('1min 30s'), 90_000);
    assert.equal(spanMs('1s 500ms'), 1_500);
    assert.equal(spanMs('infinity'), null);
  });
});

describe('wshub doctor', () => {
  it('exits with 1 and names what would bite', async (t) => {
    const folder = temporaryFolder(t);
    const runtimeDir = join(folder, 'run');
    mkdirSync(runtimeDir);
    chmodSync(runtimeDir, 0o755);
    const token = join(folder, 'token');
    writeFileSync(token, 'secret', { mode: 0o644 });
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    t.after(() => blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const { code, stdout } = await runCli(['doctor'], {
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: String(port),
      WSHUB_OPS_PORT: '0',
      WSHUB_RUNTIME_DIR: runtimeDir,
      WSHUB_ADMIN_TOKEN_FILE: token,
    });
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`bad +WSHUB_PORT ${port}`));
    assert.ok(stdout.includes(`mend: chmod 700 ${runtimeDir}`), stdout);
    assert.ok(stdout.includes(`mend: chmod 600 ${token}`), stdout);
  });
});
