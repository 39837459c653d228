/** The collector with fake workers: sums, counters of exited workers, shared collections. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from '../../src/channel/registry.ts';
import { Counters } from '../../src/metrics/counters.ts';
import { HttpCounters } from '../../src/metrics/http-counters.ts';
import { Collector, type Collectable } from '../../src/metrics/collector.ts';
import { expose, textType } from '../../src/metrics/exposition.ts';
import { ProcessStats } from '../../src/metrics/process-stats.ts';
import type { Snapshot } from '../../src/metrics/snapshot.ts';
import {
  counted,
  WorkerMetrics,
  type Holdings,
  type MetricSources,
} from '../../src/metrics/worker-metrics.ts';
import { samplesOf, sum } from './exposition.ts';

class FakeWorker implements Collectable {
  readonly slot: number;
  readonly serving = true;
  readonly counters = new Counters();
  asked = 0;
  silent = false;
  /** milliseconds that it was last given */
  given = 0;

  constructor(slot: number) {
    this.slot = slot;
  }

  snapshot(): Snapshot {
    const open = this.counters.opened - Object.values(this.counters.closed).reduce((a, b) => a + b);
    const gauges = { wshub_connections: [{ labels: { worker: String(this.slot) }, value: open }] };
    return structuredClone({ ...counted(this.counters), ...gauges });
  }

  collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void> {
    this.asked += 1;
    this.given = timeoutMs;
    if (this.silent) return Promise.reject(new Error('no answer'));
    take(this.snapshot());
    return Promise.resolve();
  }
}

function setup(count: number) {
  const workers = Array.from({ length: count }, (_, slot) => new FakeWorker(slot));
  const up: number[][] = [];
  const collector = new Collector(
    () => workers,
    ({ answered }) => {
      up.push([...answered]);
      return {};
    },
  );
  const look = async () => samplesOf(await expose(await collector.collect(), textType));
  return { workers, collector, up, look };
}

/** Makes the monotonic clock stand still and jump, so that nothing depends on how fast this machine is. */
function clockJumps(t: {
  mock: { method: (object: typeof performance, name: 'now', made: () => number) => unknown };
}) {
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  return () => (now += 2_000);
}

describe('Collector', () => {
  it('keeps the counters of a worker that has exited, and counts its connections as ended', async (t) => {
    const jump = clockJumps(t);
    const { workers, collector, look } = setup(2);
    const [one, two] = workers as [FakeWorker, FakeWorker];
    one.counters.received.ws = 5;
    one.counters.opened = 3;
    one.counters.closed.client = 1;
    two.counters.received.ws = 7;
    one.counters.latency.local.observe(0.02);
    assert.equal(sum(await look(), 'wshub_messages_received_total', 'ws'), 12);
    workers.shift();
    collector.exited(one);
    collector.exited(one);
    jump();
    const samples = await look();
    assert.equal(sum(samples, 'wshub_messages_received_total', 'ws'), 12);
    assert.equal(sum(samples, 'wshub_connections_closed_total', 'abnormal'), 2);
    assert.equal(sum(samples, 'wshub_connections_closed_total', 'client'), 1);
    assert.equal(sum(samples, 'wshub_delivery_latency_seconds_count', 'local'), 1);
    assert.equal(sum(samples, 'wshub_connections'), 0);
  });

  it('keeps counters that a worker sent without a request', async () => {
    const { workers, collector, look } = setup(1);
    const [worker] = workers as [FakeWorker];
    worker.counters.received.ws = 9;
    collector.reported(worker, worker.snapshot());
    workers.length = 0;
    collector.exited(worker);
    assert.equal(sum(await look(), 'wshub_messages_received_total', 'ws'), 9);
    assert.equal(worker.asked, 0);
  });

  it('counts a late answer of a worker that has exited once', async (t) => {
    const jump = clockJumps(t);
    const { workers, collector, look } = setup(1);
    const [worker] = workers as [FakeWorker];
    worker.counters.received.ws = 9;
    await look();
    workers.length = 0;
    collector.exited(worker);
    collector.reported(worker, worker.snapshot());
    jump();
    assert.equal(sum(await look(), 'wshub_messages_received_total', 'ws'), 9);
  });

  it('shows the gauges of a worker that sends them without a request while another is silent', async () => {
    const { workers, collector, look } = setup(2);
    const [one, two] = workers as [FakeWorker, FakeWorker];
    one.counters.opened = 4;
    const { promise, reject } = Promise.withResolvers<undefined>();
    two.collect = () => promise;
    const samples = look();
    setImmediate(() => {
      collector.reported(one, counted(one.counters));
      reject(new Error('no answer'));
    });
    assert.equal(sum(await samples, 'wshub_connections'), 4);
  });

  it('reuses the counters of a silent worker and leaves its gauges out', async (t) => {
    const jump = clockJumps(t);
    const { workers, up, look } = setup(2);
    const [one, two] = workers as [FakeWorker, FakeWorker];
    one.counters.opened = 4;
    two.counters.opened = 2;
    await look();
    one.silent = true;
    one.counters.opened = 100;
    jump();
    const samples = await look();
    assert.equal(sum(samples, 'wshub_connections_opened_total'), 6);
    assert.equal(sum(samples, 'wshub_connections'), 2);
    assert.deepEqual(up, [[0, 1], [1]]);
    assert.equal(one.given, 1_000, 'milliseconds that a worker may take');
  });

  it('asks the workers once for all scrapes within a second', async (t) => {
    const jump = clockJumps(t);
    const { workers, look } = setup(1);
    const asked = () => workers[0]?.asked;
    await Promise.all([look(), look(), look()]);
    await look();
    assert.equal(asked(), 1);
    jump();
    await look();
    assert.equal(asked(), 2);
  });

  it('counts a worker that exits during a collection once', async (t) => {
    const jump = clockJumps(t);
    const { workers, collector, look } = setup(1);
    const [worker] = workers as [FakeWorker];
    worker.counters.opened = 1;
    await look();
    jump();
    const answer = worker.collect.bind(worker);
    worker.collect = async (timeoutMs, take) => {
      await answer(timeoutMs, take);
      workers.length = 0;
      collector.exited(worker);
    };
    assert.equal(sum(await look(), 'wshub_connections_opened_total'), 1);
  });

  it('keeps the last counters of a worker that follow its answer', async (t) => {
    const jump = clockJumps(t);
    const { workers, collector, look } = setup(1);
    const [worker] = workers as [FakeWorker];
    worker.counters.opened = 1;
    const answer = worker.collect.bind(worker);
    worker.collect = (timeoutMs, take) => {
      const answered = answer(timeoutMs, take);
      worker.counters.opened = 2;
      collector.reported(worker, worker.snapshot());
      return answered;
    };
    await look();
    workers.length = 0;
    collector.exited(worker);
    jump();
    assert.equal(sum(await look(), 'wshub_connections_opened_total'), 2);
  });
});

function sources(holdings: Holdings): MetricSources {
  const [counters, http, probe] = [new Counters(), new HttpCounters([]), new ProcessStats()];
  const fastPaths = { raw_socket: true, listening_socket: true, http_injection: true };
  return { counters, holdings, http, probe, maxConnections: 100, fastPaths };
}

describe('WorkerMetrics', () => {
  it('has as many samples with 10 000 channels as with none', () => {
    const observer = { opened: () => undefined, closed: () => undefined };
    const registry = new Registry(observer);
    const holdings = {
      slowConsumers: { size: 0 },
      clients: new Set<{ bufferedBytes: number }>(),
      hub: {
        get channelCount() {
          return registry.size;
        },
      },
      mesh: { siblings: () => [], queuedBytes: 0 },
    };
    const metrics = new WorkerMetrics(0, sources(holdings));
    const before = Object.values(metrics.snapshot()).flat().length;
    for (let i = 0; i < 10_000; i++) registry.reserve(`channel-${i}`);
    const snapshot = metrics.snapshot();
    assert.equal(snapshot.wshub_channels?.[0]?.value, 10_000);
    assert.equal(Object.values(snapshot).flat().length, before);
  });

  it('finds the slow among the connections', () => {
    const clients = new Set([{ bufferedBytes: 10 }, { bufferedBytes: 251 }, { bufferedBytes: 900 }]);
    const mesh = { siblings: () => [{}], queuedBytes: 5 };
    const holdings = { slowConsumers: { size: 2 }, clients, hub: { channelCount: 1 }, mesh };
    const { wshub_slow_consumers, wshub_send_buffer_bytes, wshub_send_buffer_max_bytes } = new WorkerMetrics(
      3,
      sources(holdings),
    ).snapshot();
    assert.deepEqual(wshub_slow_consumers, [{ labels: { worker: '3' }, value: 2 }]);
    assert.equal(wshub_send_buffer_bytes?.[0]?.value, 1161);
    assert.equal(wshub_send_buffer_max_bytes?.[0]?.value, 900);
  });
});
