/** `wshub top`: the view, dry, and the command against a hub. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Actions } from '../../src/control/actions.ts';
import { totalsOf, view } from '../../src/top/view.ts';
import { connect, hubFor, runCli } from '../support.ts';

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
      channels: 1,
      knownChannels: 1,
      eventLoopLagMs: 1,
      eventLoopUtilization: 0.1,
      residentBytes: 1,
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
    const [head, totals, , columns, worker] = view({ state, totals: new Map(), at: 0 }, null);
    assert.equal(head, 'wshub 0.1.0, up 1h1m, Node 24.21.0');
    assert.equal(totals, 'workers 1   connections 7   channels 1');
    assert.match(columns ?? '', /^slot +worker +pid +state +conns/);
    assert.match(worker ?? '', /^0 +w1 +42 +ready +7 +1 +0 +yes +- +1m1s$/);
  });

  it('has rates and lag where the metrics have them', () => {
    const metrics = (count: number) =>
      totalsOf(
        `# TYPE wshub_messages_received_total counter\nwshub_messages_received_total{source="ws"} ${count}\n` +
          `wshub_messages_received_total{source="http"} 1\nwshub_eventloop_lag_p99_seconds{worker="0"} 0.0125\n`,
      );
    const before = { state, totals: metrics(100), at: 1_000 };
    const lines = view({ state, totals: metrics(300), at: 3_000 }, before);
    assert.match(lines[1] ?? '', /received\/s 100$/);
    assert.match(lines[4] ?? '', / 12\.5 /);
  });
});

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
    assert.match(stdout, /"shown" +1/);
    await client.close();
  });

  it('says in one line where no hub answers', async () => {
    const { code, stderr } = await runCli(['top'], { WSHUB_OPS_PORT: '1', WSHUB_ADMIN_TOKEN: 'x' });
    assert.equal(code, 1);
    assert.match(stderr, /^wshub: no hub answers on 127\.0\.0\.1:1: .*\n$/);
  });
});
