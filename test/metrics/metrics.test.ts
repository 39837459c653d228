/** The metrics of a real hub: formats and exact sums; see trouble.test.ts for workers that hang, die or end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { catalogue } from '../../src/metrics/catalogue.ts';
import { connect, connectApart, eventually, hubFor, type Client } from '../support.ts';
import { freshScrape, promtool, scrape, scrapeOfAll, sum } from './exposition.ts';
import { faultsOfText } from './format.ts';

const openMetrics = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5';

describe('GET /metrics', () => {
  it('shows every metric of the catalogue, in both formats, to promtool’s liking', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    await scrapeOfAll(hub, 2);
    const [{ text, contentType, samples }, open] = await Promise.all([scrape(hub), scrape(hub, openMetrics)]);
    assert.match(contentType, /^text\/plain; version=0\.0\.4/);
    for (const name of Object.keys(catalogue)) {
      assert.ok(text.includes(`\n# TYPE ${name} `) || text.startsWith(`# HELP ${name} `), name);
      assert.ok(
        [...samples.keys()].some((series) => series.startsWith(name)),
        `${name} has no sample`,
      );
    }
    assert.deepEqual(faultsOfText(text, 'text'), []);

    assert.match(open.contentType, /^application\/openmetrics-text; version=1\.0\.0/);
    assert.deepEqual(faultsOfText(open.text, 'openmetrics'), []);
    assert.deepEqual([...open.samples], [...samples], 'the same collection');

    // promtool reads the text format only; Prometheus itself takes OpenMetrics in npm run test:live.
    const opinion = promtool(['check', 'metrics'], { input: text });
    if (opinion) assert.deepEqual(opinion, { status: 0, output: '' });
    else t.diagnostic('there is no promtool here');
  });

  it('has every label value that is known in advance from the start, at 0', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    const { samples } = await scrape(hub);
    for (const series of [
      'wshub_messages_dropped_total{reason="rate_limited"}',
      'wshub_connections_rejected_total{reason="unauthorized"}',
      'wshub_connections_closed_total{reason="token_expired"}',
      'wshub_worker_restarts_total{reason="reload"}',
      'wshub_admin_actions_total{action="delete_channel",result="done"}',
      'wshub_http_requests_total{method="POST",route="/channels/:channel/messages",code="202"}',
      'wshub_draining',
      'wshub_drain_forced_total',
    ]) {
      assert.equal(samples.get(series), 0, series);
    }
    assert.equal(samples.get('wshub_config_last_reload_successful'), 1);
  });

  it('agrees exactly with the counts of clients', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const [a, b] = await connectApart(hub, 'sums');
    const silent = await connect(hub, 'sums?echo=false');
    const clients = [a, b, silent];
    const before = await freshScrape(hub);
    const payloads = Array.from({ length: 300 }, (_, i) => JSON.stringify({ i, pad: 'x'.repeat(i) }));
    for (const [index, payload] of payloads.entries()) (clients[index % 3] as Client).ws.send(payload);
    await hub.admin('POST', '/channels/sums/messages', { body: '"from HTTP"' });
    a.ws.send('no JSON');
    b.ws.send(Buffer.from([1]), { binary: true });
    // 301 messages for each, but 100 fewer for the one without echo; each of a and b gets one error.
    const got = await Promise.all([a.take(302), b.take(302), silent.take(201)]);
    const after = await freshScrape(hub);
    const grown = (name: string, ...labels: string[]) =>
      sum(after.samples, name, ...labels) - sum(before.samples, name, ...labels);

    const isError = (value: unknown) => typeof value === 'object' && value !== null && 'error' in value;
    const delivered = got.flat().filter((value) => !isError(value));
    assert.equal(delivered.length, 301 + 301 + 201);
    assert.equal(grown('wshub_messages_received_total', 'source="ws"'), 300);
    assert.equal(grown('wshub_messages_received_total', 'source="http"'), 1);
    assert.equal(grown('wshub_messages_delivered_total'), delivered.length);
    const onWorker = (id: string) => clients.filter(({ workerId }) => workerId === id).length;
    const relayed = payloads.reduce((total, _, i) => total + 3 - onWorker(clients[i % 3]?.workerId ?? ''), 0);
    const byHttp = grown('wshub_messages_delivered_total', 'route="relay"') - relayed;
    assert.ok([onWorker(a.workerId), onWorker(b.workerId)].includes(byHttp), `${byHttp} of the POST relayed`);
    assert.equal(grown('wshub_message_errors_total', 'reason="bad_json"'), 1);
    assert.equal(grown('wshub_message_errors_total', 'reason="binary_not_supported"'), 1);
    const sent = clients.flatMap(({ received }) => received).filter((text) => !text.startsWith('{"error"'));
    assert.equal(
      grown('wshub_sent_bytes_total'),
      sent.reduce((total, text) => total + Buffer.byteLength(text), 0),
    );
    const wsBytes = payloads.reduce((total, text) => total + text.length, 0) + 'no JSON'.length + 1;
    assert.equal(grown('wshub_received_bytes_total'), wsBytes);
    assert.equal(grown('wshub_publish_fanout_recipients_sum'), delivered.length);
    // Each message once per worker that delivered it.
    assert.equal(grown('wshub_delivery_latency_seconds_count', 'route="local"'), 301);
    assert.equal(grown('wshub_delivery_latency_seconds_count', 'route="relay"'), 301);
    assert.equal(grown('wshub_relay_latency_seconds_count'), 301);
    assert.equal(sum(after.samples, 'wshub_connections'), 3);
    assert.equal(
      sum(after.samples, 'wshub_connections_opened_total') -
        sum(after.samples, 'wshub_connections_closed_total'),
      3,
    );
    assert.equal(
      sum(after.samples, 'wshub_handshake_duration_seconds_count'),
      sum(after.samples, 'wshub_connections_opened_total'),
    );
    assert.equal(grown('wshub_admin_actions_total', 'action="publish"', 'result="done"'), 1);
  });

  it('counts how connections end and why they are refused', async (t) => {
    const hub = await hubFor(t, { workers: 2, env: { WSHUB_MAX_PAYLOAD: '1024' } });
    const [a, b, c, d] = await Promise.all(['a', 'b', 'c', 'd'].map((name) => connect(hub, name)));
    assert.ok(a && b && c && d);
    await a.close();
    b.socket?.destroy();
    assert.equal((await hub.admin('DELETE', '/delete/c')).status, 200);
    d.send('x'.repeat(2000));
    await Promise.all([b.end(), c.end(), d.end()]);
    await assert.rejects(connect(hub, '%00'));
    const closed = await eventually(async () => {
      const { samples } = await scrape(hub);
      return sum(samples, 'wshub_connections_closed_total') === 4 ? samples : undefined;
    }, 'four ends');
    for (const reason of ['client', 'abnormal', 'channel_deleted', 'message_too_big']) {
      assert.equal(sum(closed, 'wshub_connections_closed_total', `reason="${reason}"`), 1, reason);
    }
    assert.equal(sum(closed, 'wshub_message_errors_total', 'reason="message_too_big"'), 1);
    assert.equal(sum(closed, 'wshub_connections_rejected_total', 'reason="bad_channel"'), 1);
  });

  it('gives two scrapers at once the same collection, each in its format', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const [one, two, three] = await Promise.all([scrape(hub), scrape(hub), scrape(hub, openMetrics)]);
    assert.equal(one.text, two.text);
    assert.deepEqual([...three.samples], [...one.samples]);
  });

  it('answers in the accepted format of a scraper, by default in text', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    const ofPrometheus3 =
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,' +
      'text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
    for (const accept of [
      '*/*',
      '',
      'text/plain',
      'text/html',
      'application/json',
      'garbage',
      ofPrometheus3,
    ]) {
      const { contentType, text } = await scrape(hub, accept);
      assert.match(contentType, /^text\/plain; version=0\.0\.4/, accept);
      assert.deepEqual(faultsOfText(text, 'text'), [], accept);
    }
    for (const accept of ['application/openmetrics-text', openMetrics]) {
      const { contentType } = await scrape(hub, accept);
      assert.match(contentType, /^application\/openmetrics-text/, accept);
    }
  });
});

describe('GET /state', () => {
  it('shows each worker with pid, generation, lag, memory and link queues', async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const client = await connect(hub, 'stated');
    const { body } = await hub.admin('GET', '/state');
    const { workers } = body as { workers: Record<string, unknown>[] };
    assert.deepEqual(workers.map(({ pid }) => pid).sort(), hub.workers.map(({ pid }) => pid).sort());
    for (const worker of workers) {
      for (const member of ['pid', 'generation', 'residentBytes', 'heapUsedBytes']) {
        assert.ok(Number(worker[member]) > 0, member);
      }
      assert.equal(typeof worker['eventLoopLagMs'], 'number');
      assert.equal(typeof worker['uptimeSeconds'], 'number');
      const here = worker['workerId'] === client.workerId ? 1 : 0;
      assert.deepEqual([worker['connections'], worker['channels']], [here, here]);
      const other = workers.find(({ workerId }) => workerId !== worker['workerId']);
      // Once a second the counts wait there for the end of a turn.
      const [queue, ...more] = worker['linkQueues'] as { workerId: string; bytes: number }[];
      assert.deepEqual([queue?.workerId, more], [other?.['workerId'], []]);
      assert.ok(queue && queue.bytes < 100, `${queue?.bytes} bytes wait`);
    }
  });

  it('shows the connection limit of each worker', async (t) => {
    const hub = await hubFor(t, { workers: 2, env: { WSHUB_MAX_CONNECTIONS: '100' } });
    const { samples } = await scrapeOfAll(hub, 2);
    for (const worker of ['0', '1']) {
      assert.equal(sum(samples, 'wshub_connections_limit', `worker="${worker}"`), 100);
    }
  });
});
