/** The metrics of a real hub whose workers hang, die or end: a scrape is answered, and no counter falls. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, connectApart, eventually, hubFor } from '../support.ts';
import { freshMs, freshScrape, growing, scrape, scrapeOfAll, sum, type Scrape } from './exposition.ts';

/** Asserts that no counter of `before` is less in `after`. */
function assertNothingFell(before: Map<string, number>, after: Map<string, number>): void {
  for (const [series, value] of growing(before)) {
    const now = after.get(series);
    assert.ok(
      now !== undefined && now >= value - 1e-9,
      `${series} fell from ${value} to ${now ?? 'nothing'}`,
    );
  }
}

describe('a scrape while workers are in trouble', () => {
  it('is answered while a worker hangs, which is reported as down with its last counters', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const [a, b] = await connectApart(hub, 'hang');
    a.send('before');
    await b.take(1);
    const before = await scrapeOfAll(hub, 2);
    const pid = hub.pidOf(b.workerId);
    process.kill(pid, 'SIGSTOP');
    try {
      const during = await freshScrape(hub);
      t.diagnostic(`answered after ${Math.round(during.milliseconds)} ms`);
      // The collector gives a worker 1 s, see collector.test.ts; the rest is what this machine takes.
      assert.ok(during.milliseconds < 5_000, `answered after ${during.milliseconds} ms`);
      assert.equal(sum(during.samples, 'wshub_worker_up'), 1);
      assertNothingFell(before.samples, during.samples);
      assert.equal(
        sum(during.samples, 'wshub_connections'),
        1,
        'the gauges of the silent worker are left out',
      );
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await eventually(async () => {
      const { samples } = await scrape(hub);
      return sum(samples, 'wshub_worker_up') === 2 || undefined;
    }, 'the worker to answer again');
  });

  it('has the counters of a worker that was killed before the first scrape', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    // A worker reports its counters every second; `lostConnections` tells whether a report arrived before the kill.
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect(hub, 'unseen');
      client.send('before');
      await client.take(1);
      await sleep(2 * freshMs);
      const workerPid = hub.pidOf(client.workerId);
      process.kill(workerPid, 'SIGKILL');
      const { lostConnections, workerId } = await hub.logged('worker died', { workerPid });
      if (lostConnections === 1) break;
      assert.ok(attempt < 10, `${String(workerId)} never said that it has a client`);
      await eventually(
        () => hub.workers.every((worker) => worker.workerId !== workerId) || undefined,
        'its successor',
      );
    }
    const { samples } = await scrape(hub);
    assert.ok(sum(samples, 'wshub_messages_received_total', 'source="ws"') >= 1);
    const opened = sum(samples, 'wshub_connections_opened_total');
    assert.ok(opened >= 1);
    assert.equal(sum(samples, 'wshub_connections_closed_total', 'reason="abnormal"'), opened);
  });

  it('keeps all counters of draining workers', async (t) => {
    const hub = await hubFor(t, { workers: 2, env: { WSHUB_DRAIN_SPREAD_MS: '1000' } });
    const clients = await connectApart(hub, 'drained');
    for (let n = 0; n < 50; n++) for (const client of clients) client.send(n);
    await Promise.all(clients.map((client) => client.take(100)));
    const before = await freshScrape(hub);
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    const during = await freshScrape(hub);
    assertNothingFell(before.samples, during.samples);
    await hub.logged('reload done');
    const after = await scrapeOfAll(hub, 2);
    assertNothingFell(during.samples, after.samples);
    assert.equal(sum(after.samples, 'wshub_messages_received_total', 'source="ws"'), 100);
    assert.equal(sum(after.samples, 'wshub_messages_delivered_total'), 200);
    assert.equal(sum(after.samples, 'wshub_connections_closed_total', 'reason="restarting"'), 2);
    assert.equal(sum(after.samples, 'wshub_connections'), 0);
    assert.equal(sum(after.samples, 'wshub_worker_restarts_total', 'reason="reload"'), 2);
  });

  it('never shows a counter that fell, over 20 kills under load', async (t) => {
    const hub = await hubFor(t, { workers: 5 });
    const over = new AbortController();
    const load = (async () => {
      for (let i = 0; !over.signal.aborted; i++) {
        try {
          const client = await connect(hub, 'load');
          for (let k = 0; k < 20; k++) client.send({ i, k });
          await sleep(5);
          await client.close();
        } catch {
          // Its worker was killed; the next connection goes to another.
        }
      }
    })();
    const first = await scrape(hub);
    let before = first;
    for (let kill = 0; kill < 20; kill++) {
      const { pid } = hub.workers[kill % 5] ?? { pid: 0 };
      const readyBefore = hub.log.filter(({ msg }) => msg === 'worker ready').length;
      const look = sleep(freshMs).then(() => scrape(hub));
      process.kill(pid, 'SIGKILL');
      const after = await look;
      assertNothingFell(before.samples, after.samples);
      before = after;
      await eventually(
        () => hub.log.filter(({ msg }) => msg === 'worker ready').length > readyBefore || undefined,
        'the successor',
      );
    }
    over.abort();
    await load;
    const last = await freshScrape(hub);
    assertNothingFell(before.samples, last.samples);
    assert.equal(sum(last.samples, 'wshub_worker_restarts_total', 'reason="crash"'), 20);
    const received = ({ samples }: Scrape) => sum(samples, 'wshub_messages_received_total', 'source="ws"');
    t.diagnostic(`${received(last) - received(first)} messages, 20 kills`);
    assert.ok(received(last) > received(first), 'there was load');
    assert.equal(
      sum(last.samples, 'wshub_connections_opened_total') -
        sum(last.samples, 'wshub_connections_closed_total'),
      sum(last.samples, 'wshub_connections'),
    );
  });
});
