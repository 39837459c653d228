/** `wshub top`: the view, dry, and the command against a hub. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { Actions } from '../../../src/admin/actions.ts';
import { totalsOf, view } from '../../../src/cli/top/view.ts';
import { reservedPort } from '../../reserved-port.ts';
import {
  connect,
  eventually,
  hubFor,
  runCli,
  startHub,
  temporaryFolder,
  type Environment,
} from '../../support.ts';

const state: Actions['state']['answer'] = {
  version: '0.1.0',
  node: 'v24.21.0',
  uptimeSeconds: 3_700,
  totals: { workers: 1, connections: 7, channels: 1 },
  workers: [
    {
      workerId: 'w1',
      slot: 0,
      generation: 1,
      pid: 42,
      state: 'ready',
      uptimeSeconds: 61,
      connections: 7,
      users: 1,
      subscriptions: 7,
      channels: 1,
      knownChannels: 1,
      eventLoopLagMs: 1.5,
      eventLoopUtilization: 0.1,
      residentBytes: 64 * 2 ** 20,
      heapUsedBytes: 1,
      linkQueues: [],
      linkQueueBytes: 0,
      linked: true,
    },
  ],
  channels: [{ channel: 'a', connections: 7, workers: [] }],
  truncated: false,
};

describe('the view', () => {
  it('shows totals, workers and channels', () => {
    const [head, totals, rates, , columns, worker] = view({ state, totals: new Map(), at: 0 }, null);
    assert.equal(head, 'wshub 0.1.0, up 1h1m, Node 24.21.0');
    assert.equal(totals, 'workers 1   connections 7   channels 1');
    assert.equal(rates, 'per second   -');
    assert.match(columns ?? '', /^slot +worker +pid +state +linked +connections/);
    assert.match(worker ?? '', /^ +0 +w1 +42 +ready +yes +7 +1 +10 +1\.5 +64 +0 +1m1s$/);
  });

  it('has rates where the metrics have them, and none across the restart of the hub', () => {
    const metrics = (count: number) =>
      totalsOf(
        `# TYPE wshub_messages_received_total counter\nwshub_messages_received_total{source="ws"} ${count}\n` +
          `wshub_messages_received_total{source="http"} 1\n`,
      );
    const earlier = { state, totals: metrics(100), at: 1_000 };
    const later = { state, totals: metrics(300), at: 3_000 };
    assert.equal(view(later, earlier)[2], 'per second   received 100');
    assert.equal(view(earlier, later)[2], 'per second   -');
  });
});

/** `wshub top` on its own terminal (script(1)), and its output. */
function onTerminal(t: { after: (done: () => void) => void }, env: Environment) {
  const cli = join(import.meta.dirname, '../../../src/cli.ts');
  const command = `stty rows 30 columns 60; exec "${process.execPath}" "${cli}" top`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], { env: { ...process.env, ...env } });
  t.after(() => child.kill('SIGKILL'));
  const screen = { text: '', keys: child.stdin, ended: once(child, 'exit') };
  child.stdout.on('data', (chunk: Buffer) => (screen.text += chunk.toString()));
  return screen;
}

describe('wshub top', () => {
  it('prints once where there is no terminal', async (t) => {
    const hub = await hubFor(t);
    const client = await connect(hub, 'shown');
    const { code, stdout } = await runCli(['top'], {
      WSHUB_OPS_PORT: String(hub.opsPort),
      WSHUB_ADMIN_TOKEN: hub.token,
    });
    assert.equal(code, 0);
    assert.match(stdout, /workers 2 +connections 1 +channels 1/);
    assert.match(stdout, / 1 +"shown"/);
    await client.close();
  });

  it('finds the generated token of the hub on the ops port, among those of others', async (t) => {
    const folder = temporaryFolder(t);
    const env = { WSHUB_RUNTIME_DIR: undefined, WSHUB_ADMIN_TOKEN: undefined, TMPDIR: folder };
    const [hub] = await Promise.all([hubFor(t, { workers: 1, env }), hubFor(t, { workers: 1, env })]);
    const found = await runCli(['top'], { WSHUB_OPS_PORT: String(hub.opsPort), TMPDIR: folder });
    assert.deepEqual([found.code, found.stderr], [0, '']);
    assert.match(found.stdout, /workers 1 +connections 0/);
  });

  for (const [name, key] of [
    ['q', 'q'],
    ['Ctrl-C', '\x03'],
  ] as const) {
    it(`redraws every second until ${name}, and restores the terminal`, async (t) => {
      const hub = await hubFor(t);
      const screen = onTerminal(t, { WSHUB_OPS_PORT: String(hub.opsPort), WSHUB_ADMIN_TOKEN: hub.token });
      await eventually(() => (/connections 0 /.test(screen.text) ? true : undefined), 'the first screen');
      await connect(hub, 'a');
      await eventually(() => (/connections 1 /.test(screen.text) ? true : undefined), 'the next screen');
      const lines = screen.text
        .replaceAll('\x1b[H', '\n')
        .split(/[\r\n]+/)
        .map(stripVTControlCharacters);
      assert.equal(Math.max(...lines.map(({ length }) => length)), 60, 'what does not fit is cut');
      screen.keys.write(key);
      assert.deepEqual(await screen.ended, [0, null]);
      assert.ok(screen.text.endsWith('\x1b[?25h\x1b[?1049l'), 'the cursor and the shell are back');
    });
  }

  it('reports that the hub is down, and continues when it is back', async (t) => {
    const env = { WSHUB_OPS_PORT: String(reservedPort()) };
    const first = await startHub({ env });
    const screen = onTerminal(t, { ...env, WSHUB_ADMIN_TOKEN: first.token });
    await eventually(() => (/workers 2 /.test(screen.text) ? true : undefined), 'the first screen');
    await first.end();
    await eventually(() => (/no hub answers on /.test(screen.text) ? true : undefined), 'the note');
    await hubFor(t, { workers: 1, env });
    await eventually(() => (/workers 1 /.test(screen.text) ? true : undefined), 'the screen of the next hub');
    screen.keys.write('q');
    assert.deepEqual(await screen.ended, [0, null]);
  });

  it('says in one line where no hub answers, and where it finds no token', async () => {
    const { code, stderr } = await runCli(['top'], { WSHUB_OPS_PORT: '1', WSHUB_ADMIN_TOKEN: 'x' });
    assert.equal(code, 1);
    assert.match(stderr, /^wshub: no hub answers on 127\.0\.0\.1:1: .*\n$/);
    const without = await runCli(['top'], { WSHUB_OPS_PORT: '1', WSHUB_ADMIN_TOKEN_FILE: '/none' });
    assert.equal(without.code, 1);
    assert.match(without.stderr, /^wshub: no admin token: set WSHUB_ADMIN_TOKEN_FILE .*\n$/);
  });
});
