/** Traces of a real hub, as an OTLP collector gets them: a message across workers, an admin request, garbage. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import { Counters } from '../../src/counters.ts';
import { OtelTracing, parseTraceparent } from '../../src/observability/otel.ts';
import { connect, connectApart, eventually, hubFor, request, temporaryFolder } from '../support.ts';
import { OtlpSink, type SinkSpan } from './otlp-sink.ts';

const given = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${given.traceId}-${given.spanId}-01`;

async function sinkFor(t: TestContext): Promise<OtlpSink> {
  const sink = await OtlpSink.start();
  t.after(() => {
    sink.close();
  });
  return sink;
}

function tracedEnv(sink: OtlpSink): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
}

/** At least so many, and one. */
function spans(sink: OtlpSink, name: string, count: number): Promise<[SinkSpan, ...SinkSpan[]]> {
  return eventually(
    () => {
      const found = sink.named(name);
      return found.length >= count ? (found as [SinkSpan, ...SinkSpan[]]) : undefined;
    },
    `${count} spans "${name}", there are ${sink.spans.map((span) => span.name).join(', ')}`,
  );
}

const instance = (span: SinkSpan) => span.resource['service.instance.id'];

describe('traces', () => {
  it('follow a message from one worker to clients of two', async (t) => {
    const sink = await sinkFor(t);
    const hub = await hubFor(t, { env: { ...tracedEnv(sink), OTEL_SERVICE_NAME: 'hub-under-test' } });
    const [a, b] = await connectApart(hub, 'traced');
    a.send({ hello: 'world', traceparent });
    assert.deepEqual(await b.next(), { hello: 'world', traceparent });

    const processed = await spans(sink, 'process <channel>', 2);
    const [publish] = await spans(sink, 'publish <channel>', 1);
    assert.equal(processed.length, 2);
    assert.equal(publish.kind, 4);
    assert.equal(publish.parentSpanId, '');
    assert.notEqual(publish.traceId, given.traceId, 'a client’s trace is not continued by default');
    assert.equal(publish.attributes['messaging.system'], 'wshub');
    assert.equal(publish.attributes['messaging.operation.type'], 'send');
    assert.equal(publish.attributes['messaging.destination.name'], undefined);
    assert.equal(publish.resource['service.name'], 'hub-under-test');
    for (const span of processed) {
      assert.equal(span.kind, 5);
      assert.equal(span.traceId, publish.traceId);
      assert.equal(span.parentSpanId, publish.spanId);
      assert.deepEqual(span.links, [{ traceId: publish.traceId, spanId: publish.spanId }]);
      assert.equal(span.attributes['wshub.recipients'], 1);
      assert.equal(span.attributes['messaging.operation.type'], 'process');
      assert.ok(span.start >= publish.start && span.end >= span.start, 'times are nested');
    }
    const here = processed.find((span) => instance(span) === instance(publish));
    const there = processed.find((span) => instance(span) !== instance(publish));
    assert.ok(here && there, 'two processes, one of which is that of the publisher');
    assert.ok(here.end <= publish.end, 'what is delivered in the same worker lies within');
    assert.equal(here.attributes['wshub.relay.latency'], undefined);
    assert.ok(Number(there.attributes['wshub.relay.latency']) >= 0);
    assert.deepEqual([...sink.paths], ['/v1/traces']);
  });

  it('continue a client’s traceparent where it is trusted, and shrug at what is none', async (t) => {
    const sink = await sinkFor(t);
    const env = { ...tracedEnv(sink), WSHUB_TRUST_TRACEPARENT: 'true', WSHUB_TRACE_CHANNELS: 'true' };
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, 'trusting', { headers: { traceparent } });
    const garbage: unknown[] = [
      '',
      7,
      null,
      { toString: 1 },
      'x'.repeat(5000),
      `00-${'0'.repeat(32)}-${given.spanId}-01`,
      `00-${given.traceId}-${'0'.repeat(16)}-01`,
      `ff-${given.traceId}-${given.spanId}-01`,
    ];
    for (const bad of garbage) client.send({ traceparent: bad });
    client.send({ traceparent, good: true });
    assert.deepEqual(await client.take(garbage.length + 1), [
      ...garbage.map((bad) => ({ traceparent: bad })),
      { traceparent, good: true },
    ]);
    const published = await spans(sink, 'publish <channel>', garbage.length + 1);
    const continued = published.filter(({ traceId }) => traceId === given.traceId);
    assert.deepEqual(
      continued.map(({ parentSpanId, attributes }) => [
        parentSpanId,
        attributes['messaging.destination.name'],
      ]),
      [[given.spanId, 'trusting']],
    );
    const [upgrade] = await spans(sink, 'GET /<channel>', 1);
    assert.equal(upgrade.traceId, given.traceId);
    assert.equal(upgrade.attributes['http.response.status_code'], 101);
    assert.equal(upgrade.kind, 2);
  });

  it('follow an admin request to every worker, and stand in its log line', async (t) => {
    const sink = await sinkFor(t);
    const hub = await hubFor(t, { env: tracedEnv(sink) });
    const [a, b] = await connectApart(hub, 'doomed');
    assert.equal((await hub.admin('DELETE', '/delete/doomed')).status, 200);
    await Promise.all([a.end(), b.end()]);
    const [admin] = await spans(sink, 'DELETE /delete/:channel', 1);
    const controls = await spans(sink, 'control delete_channel', 2);
    assert.equal(admin.kind, 2);
    assert.equal(new Set([admin, ...controls].map(instance)).size, 3);
    for (const control of controls) {
      assert.equal(control.kind, 5);
      assert.equal(control.traceId, admin.traceId);
      assert.equal(control.parentSpanId, admin.spanId);
      assert.deepEqual(control.links, [{ traceId: admin.traceId, spanId: admin.spanId }]);
      assert.ok(control.start >= admin.start && control.end <= admin.end, 'times are nested');
    }
    const line = await hub.logged('admin action', { action: 'delete_channel' });
    assert.equal(line['traceId'], admin.traceId);
  });

  it('say when a handler failed, and its log line names the trace', async (t) => {
    const sink = await sinkFor(t);
    const folder = temporaryFolder(t);
    const handlers = join(folder, 'handlers.js');
    writeFileSync(handlers, 'export default { types: { bad: () => { throw new Error("on purpose"); } } };');
    const hub = await hubFor(t, { workers: 1, env: { ...tracedEnv(sink), WSHUB_HANDLERS: handlers } });
    const client = await connect(hub, 'failing');
    client.send({ type: 'bad' });
    const [publish] = await spans(sink, 'publish <channel>', 1);
    assert.equal(publish.status, 2);
    const line = await hub.logged('handler failed');
    assert.equal(line['traceId'], publish.traceId);
  });

  it('are sent before the hub ends', async (t) => {
    const sink = await sinkFor(t);
    const hub = await hubFor(t, {
      workers: 1,
      env: { ...tracedEnv(sink), OTEL_BSP_SCHEDULE_DELAY: '600000' },
    });
    const client = await connect(hub, 'last-words');
    client.send('bye');
    await client.take(1);
    await hub.end();
    assert.equal(sink.named('process <channel>').length, 1);
  });

  it('keep one in a thousand where nobody says otherwise', async (t) => {
    const sink = await sinkFor(t);
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_BSP_SCHEDULE_DELAY: '50' };
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, 'sampled');
    for (let i = 0; i < 2000; i++) client.send(i);
    await client.take(2000);
    await hub.end();
    // 2 are expected; more than 30 would be chance once in 10^20.
    assert.ok(sink.named('publish <channel>').length <= 30);
  });

  it('load nothing while they are off, and prom-client is only in the primary', async (t) => {
    const noted = join(temporaryFolder(t), 'modules.txt');
    const hook = fileURLToPath(new URL('note-modules.ts', import.meta.url));
    const hub = await hubFor(t, { env: { NOTED_MODULES: noted, NODE_OPTIONS: `--import=${hook}` } });
    const [a, b] = await connectApart(hub, 'off');
    a.send({ traceparent });
    await b.next();
    assert.equal((await request(hub.opsPort, 'GET', '/readyz')).status, 200);
    const lines = readFileSync(noted, 'utf8').trim().split('\n');
    assert.equal(lines.filter((line) => line.startsWith('hook ')).length, 3, 'the hook is in all processes');
    // prom-client loads OpenTelemetry's interface for its exemplars, in the primary; nobody loads the SDK.
    const ofPrimary = new RegExp(`^${hub.pid} .*/@opentelemetry/api/`);
    const telemetry = lines.filter((line) => line.includes('/@opentelemetry/') && !ofPrimary.test(line));
    assert.deepEqual(telemetry, []);
    const promClient = lines.filter((line) => line.includes('/prom-client/'));
    assert.ok(promClient.length > 0);
    assert.deepEqual(new Set(promClient.map((line) => line.split(' ')[0])), new Set([String(hub.pid)]));
  });
});

describe('a trace block from a link', () => {
  it('is ignored and counted where it is garbage', async () => {
    process.env['OTEL_TRACES_SAMPLER'] = 'always_off';
    process.env['OTEL_TRACES_EXPORTER'] = 'none';
    const { relayErrors } = new Counters();
    const options = {
      worker: 'w1',
      version: '0',
      unixOffset: 0,
      trustTraceparent: false,
      traceChannels: false,
    };
    const tracing = new OtelTracing({ ...options, errors: relayErrors });
    const deliver = (block: Buffer) => {
      tracing.delivered({ block, startedAt: 1, relaySeconds: 0 }, 'x', 1, 2);
    };
    deliver(Buffer.alloc(26));
    deliver(Buffer.alloc(26, 0xff));
    deliver(Buffer.alloc(3));
    assert.deepEqual(relayErrors, { decode: 2, version: 1, peer_reset: 0 });
    await tracing.shutdown();
  });

  it('and a traceparent are told from good ones', () => {
    assert.deepEqual(parseTraceparent(traceparent), { ...given, traceFlags: 1, isRemote: true });
    for (const bad of [undefined, 1, '', 'x', traceparent.toUpperCase(), `${traceparent}-more`]) {
      assert.equal(parseTraceparent(bad), null);
    }
  });
});
