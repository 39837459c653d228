/** The checks of `wshub doctor` without a machine: each problem is found, with its fix. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSettings } from '../../../src/config/reader.ts';
import { examine } from '../../../src/cli/doctor/checks.ts';
import type { Facts } from '../../../src/cli/doctor/facts.ts';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { spanMs } from '../../../src/cli/doctor/managers.ts';

const hardened = {
  WSHUB_JWT_SECRET_FILE: '/s',
  WSHUB_ADMIN_PUBLIC: 'false',
  WSHUB_ALLOWED_ORIGINS: 'https://app.example',
  WSHUB_TRUST_PROXY: '1',
};
const settings = readSettings(hardened);
const well: Facts = {
  nodeMajor: 24,
  openFiles: 262_144,
  somaxconn: 4_096,
  ports: [
    { setting: 'WSHUB_PORT', port: 8080, holder: 'systemd' },
    { setting: 'WSHUB_OPS_PORT', port: 9180, holder: 'hub' },
  ],
  runtimeDir: { path: '/r', mode: 0o700, ownedByUs: true },
  keyFiles: [
    { setting: 'WSHUB_JWT_PUBLIC_KEY_FILE', path: '/k', mode: 0o100644, isPublic: true, openedByUnit: true },
  ],
  stopTimeouts: [{ manager: 'systemd', ms: 20_000 }],
  clockSynchronized: true,
  proxies: ['nginx'],
  engine: {
    server: '10.0.0.5:6379',
    fault: null,
    version: '7.0.15',
    latencyMs: 0.3,
    hasReplicationId: true,
    evictionPolicy: 'noeviction',
    outputLimitBytes: 2 ** 25,
    machines: ['a', 'b'],
  },
};
const { engine } = well;
assert.ok(engine);

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
  [
    'an engine that is not reached',
    { engine: { ...engine, fault: 'ECONNREFUSED' } },
    'bad',
    /^redis-cli .* ping/,
  ],
  ['an old engine', { engine: { ...engine, version: '6.2.7' } }, 'bad', /^install Redis 7/],
  ['a far engine', { engine: { ...engine, latencyMs: 40 } }, 'warn', /network of the machines/],
  ['an engine that evicts', { engine: { ...engine, evictionPolicy: 'allkeys-lru' } }, 'bad', /noeviction/],
  [
    'an engine that cuts readers off',
    { engine: { ...engine, outputLimitBytes: 65_536 } },
    'warn',
    /output-buffer/,
  ],
  ['an engine without replid', { engine: { ...engine, hasReplicationId: false } }, 'warn', /Redis or Valkey/],
  ['an old Node', { nodeMajor: 20 }, 'bad', /^npm ci/],
  ['few descriptors', { openFiles: 1_024 }, 'bad', /^ulimit -n 262144/],
  ['not many descriptors', { openFiles: 20_000 }, 'warn', /LimitNOFILE/],
  ['a short accept queue', { somaxconn: 128 }, 'warn', /^sysctl -w net\.core\.somaxconn=4096$/],
  [
    'a port in use by a process that is not visible',
    { ports: [{ ...port, process: null }] },
    'bad',
    /^ss -ltnp/,
  ],
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
  [
    'an open file of API keys',
    { keyFiles: [{ ...secret, setting: 'WSHUB_API_KEYS_FILE', mode: 0o100644 }] },
    'bad',
    /^chmod 600 \/t$/,
  ],
  [
    'a missing file of API keys',
    { keyFiles: [{ ...secret, setting: 'WSHUB_API_KEYS_FILE', mode: null }] },
    'bad',
    /^wshub api-key /,
  ],
  ['a missing public key', { keyFiles: [{ ...publicKey, mode: null }] }, 'bad', /^cp .* \/k/],
  [
    'a short stop timeout of PM2',
    { stopTimeouts: [{ manager: 'PM2', ms: 1_600 }] },
    'bad',
    /^kill_timeout: 18_000,/,
  ],
  [
    'a short stop timeout of systemd',
    { stopTimeouts: [{ manager: 'systemd', ms: 16_500 }] },
    'bad',
    /TimeoutStopSec=18/,
  ],
  ['a clock that is not synchronized', { clockSynchronized: false }, 'warn', /^timedatectl set-ntp true$/],
];

/** Settings that replace hardened ones, and the fix that is asked for. */
const exposures: [string, Record<string, string | undefined>, Partial<Facts>, text: RegExp, fix: RegExp][] = [
  [
    'a missing token key',
    { WSHUB_JWT_SECRET_FILE: undefined },
    {},
    /everybody may connect/,
    /^WSHUB_JWT_SECRET_FILE=/,
  ],
  [
    'clients that may do everything',
    { WSHUB_INSECURE: 'force' },
    {},
    /^WSHUB_INSECURE is on/,
    /^WSHUB_INSECURE=false/,
  ],
  [
    'short secrets',
    { WSHUB_JWT_ALLOW_SHORT_SECRET: 'true' },
    {},
    /^WSHUB_JWT_ALLOW_SHORT_SECRET is on/,
    /^WSHUB_JWT_ALLOW_SHORT_SECRET=false/,
  ],
  [
    'admin routes on a public address',
    { WSHUB_ADMIN_PUBLIC: 'true' },
    {},
    /0\.0\.0\.0 port 8080/,
    /^WSHUB_ADMIN_PUBLIC=false/,
  ],
  ['a public ops port', { WSHUB_OPS_HOST: '::' }, {}, /other machines/, /^WSHUB_OPS_HOST=127\.0\.0\.1/],
  ['missing origins', { WSHUB_ALLOWED_ORIGINS: '' }, {}, /own host name/, /^WSHUB_ALLOWED_ORIGINS=https:/],
  [
    'all origins without a key',
    { WSHUB_ALLOWED_ORIGINS: '*', WSHUB_JWT_SECRET_FILE: undefined },
    {},
    /any origin/,
    /^WSHUB_ALLOWED_ORIGINS=https:/,
  ],
  ['a proxy that is not trusted', { WSHUB_TRUST_PROXY: '0' }, {}, /^nginx runs here/, /^WSHUB_TRUST_PROXY=1/],
  [
    'a local port without a trusted proxy',
    { WSHUB_TRUST_PROXY: '0', WSHUB_HOST: '127.0.0.1' },
    { proxies: [] },
    /^127\.0\.0\.1 is only reachable through a proxy/,
    /^WSHUB_TRUST_PROXY=1/,
  ],
  [
    'limits that are switched off',
    { WSHUB_MESSAGE_RATE: '0', WSHUB_CONNECT_RATE: '0' },
    {},
    /switched off: WSHUB_MESSAGE_RATE, WSHUB_CONNECT_RATE$/,
    /^WSHUB_MESSAGE_RATE=500 WSHUB_CONNECT_RATE=2000$/,
  ],
];

/** The findings with a level other than ok. */
function problems(facts: Partial<Facts>, from = settings): Finding[] {
  return examine({ ...well, ...facts }, from).filter(({ level }) => level !== 'ok');
}

function fixOf(finding: Finding | undefined): string {
  return finding && 'fix' in finding ? finding.fix : '';
}

describe('the checks', () => {
  it('find no problem on a machine and with settings for production', () => {
    assert.deepEqual(problems({}), []);
  });

  for (const [name, fault, level, fix] of faults) {
    it(`find ${name} and how to fix it`, () => {
      const findings = problems(fault);
      assert.deepEqual(
        findings.map((finding) => finding.level),
        [level],
      );
      assert.match(fixOf(findings[0]), fix);
    });
  }

  for (const [name, env, facts, text, fix] of exposures) {
    it(`warn of ${name} and say how to fix it`, () => {
      const findings = problems(facts, readSettings({ ...hardened, ...env }));
      assert.ok(findings.every(({ level }) => level === 'warn'));
      const finding = findings.find((candidate) => text.test(candidate.text));
      assert.match(fixOf(finding), fix, JSON.stringify(findings));
    });
  }

  it('skip unknown facts instead of calling them ok', () => {
    const unknown = {
      somaxconn: null,
      runtimeDir: null,
      stopTimeouts: [],
      clockSynchronized: null,
      proxies: [],
    };
    const findings = problems(unknown, readSettings({ ...hardened, WSHUB_TRUST_PROXY: '0' }));
    assert.deepEqual(
      findings.map(({ level, text }) => `${level} ${text.split(':')[0] ?? ''}`),
      ['skip accept queue', 'skip runtime directory', 'skip stop timeout', 'skip clock', 'skip proxies'],
    );
  });

  it('name the limits in force', () => {
    const [limits] = examine(well, settings).filter(({ text }) => text.startsWith('limits'));
    assert.equal(
      limits?.text,
      'limits per client: 500 messages/s of 65536 bytes, 1048576 bytes queued; ' +
        'per worker: 2000 connects/s, any number of connections per address',
    );
  });

  it('compare the stop timeout of the manager with the settings in force', () => {
    const slow = readSettings({ ...hardened, WSHUB_STOP_SPREAD_MS: '10000' });
    const [finding] = problems({}, slow);
    assert.equal(finding?.text, 'systemd kills a stop after 20000 ms, the hub needs up to 23500 ms');
    assert.match(fixOf(finding), /TimeoutStopSec=25/);
  });

  it('read the time spans of systemd', () => {
    assert.equal(spanMs('20s'), 20_000);
    assert.equal(spanMs('1min 30s'), 90_000);
    assert.equal(spanMs('1s 500ms'), 1_500);
    assert.equal(spanMs('infinity'), null);
  });
});
