/** The checks of `wshub doctor`, dry: each fault is found, with the line that mends it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSettings } from '../../../src/config/reader.ts';
import { examine } from '../../../src/cli/doctor/checks.ts';
import type { Facts } from '../../../src/cli/doctor/facts.ts';
import { spanMs } from '../../../src/cli/doctor/managers.ts';

const settings = readSettings({});
const well: Facts = {
  nodeMajor: 24,
  openFiles: 262_144,
  somaxconn: 4_096,
  ports: [
    { setting: 'WSHUB_PORT', port: 8080, holder: 'systemd' },
    { setting: 'WSHUB_OPS_PORT', port: 9180, holder: 'hub' },
  ],
  runtimeDir: null,
  keyFiles: [
    { setting: 'WSHUB_JWT_PUBLIC_KEY_FILE', path: '/k', mode: 0o100644, isPublic: true, openedByUnit: true },
  ],
  stopTimeouts: [{ manager: 'systemd', ms: 20_000 }],
  clockSynchronized: true,
};

const port = { setting: 'WSHUB_PORT', port: 8080, holder: 'other', reason: 'in use' } as const;
const secret = {
  setting: 'WSHUB_JWT_SECRET_FILE',
  path: '/t',
  isPublic: false,
  openedByUnit: false,
} as const;
const publicKey = {
  setting: 'WSHUB_JWT_PUBLIC_KEY_FILE',
  path: '/k',
  isPublic: true,
  openedByUnit: false,
} as const;

const faults: [string, Partial<Facts>, 'bad' | 'warn', RegExp][] = [
  ['an old Node', { nodeMajor: 20 }, 'bad', /^npm ci/],
  ['few descriptors', { openFiles: 1_024 }, 'bad', /^ulimit -n 262144/],
  ['not many descriptors', { openFiles: 20_000 }, 'warn', /LimitNOFILE/],
  ['a short accept queue', { somaxconn: 128 }, 'warn', /^sysctl -w net\.core\.somaxconn=4096$/],
  ['a port in use by nobody knows whom', { ports: [{ ...port, process: null }] }, 'bad', /^ss -ltnp/],
  ['a port in use', { ports: [{ ...port, process: { pid: 42, command: 'nc -l' } }] }, 'bad', /^kill 42/],
  [
    'an open directory',
    { runtimeDir: { path: '/r', mode: 0o755, ownedByUs: true } },
    'bad',
    /^chmod 700 \/r$/,
  ],
  ['a foreign directory', { runtimeDir: { path: '/r', mode: 0o700, ownedByUs: false } }, 'bad', /^chown/],
  ['an open secret', { keyFiles: [{ ...secret, mode: 0o100644 }] }, 'bad', /^chmod 600 \/t$/],
  ['a missing secret', { keyFiles: [{ ...secret, mode: null }] }, 'bad', /> \/t\)$/],
  [
    'a public key that others may replace',
    { keyFiles: [{ ...publicKey, mode: 0o100666 }] },
    'bad',
    /^chmod 644 \/k$/,
  ],
  [
    'a secret that the unit cannot read',
    { keyFiles: [{ ...secret, openedByUnit: true, mode: 0o100600 }] },
    'bad',
    /^install -m 600 \/t \/etc\/wshub\/jwt\.secret /,
  ],
  [
    'a public key that the unit cannot read',
    { keyFiles: [{ ...publicKey, openedByUnit: true, mode: 0o100600 }] },
    'bad',
    /^chmod 644 \/k$/,
  ],
  ['a missing public key', { keyFiles: [{ ...publicKey, mode: null }] }, 'bad', /^cp .* \/k/],
  ['an impatient PM2', { stopTimeouts: [{ manager: 'PM2', ms: 1_600 }] }, 'bad', /^kill_timeout: 15_000,/],
  [
    'an impatient systemd',
    { stopTimeouts: [{ manager: 'systemd', ms: 13_500 }] },
    'bad',
    /TimeoutStopSec=15/,
  ],
  ['a clock that nobody keeps', { clockSynchronized: false }, 'warn', /^timedatectl set-ntp true$/],
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

  it('hold the manager against the settings as they are', () => {
    const slow = readSettings({ WSHUB_STOP_SPREAD_MS: '10000' });
    const [finding] = examine(well, slow).filter(({ level }) => level !== 'ok');
    assert.equal(finding?.text, 'systemd kills a stop after 20000 ms, which takes up to 20500 ms');
    assert.match(finding.mend ?? '', /TimeoutStopSec=22/);
  });

  it('read the time spans of systemd', () => {
    assert.equal(spanMs('20s'), 20_000);
    assert.equal(spanMs('1min 30s'), 90_000);
    assert.equal(spanMs('1s 500ms'), 1_500);
    assert.equal(spanMs('infinity'), null);
  });
});
