/** The switch for tracing: sampling, loaded modules, and the stop while the collector fails. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tracesWanted } from '../../src/tracing/start.ts';
import { connect, connectApart, hubFor, request, temporaryFolder } from '../support.ts';
import { sinkFor, tracedEnv } from './traced.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Environments that disable tracing. */
const offInSomeWay: Record<string, Record<string, string>> = {
  'nothing is set': {},
  OTEL_SDK_DISABLED: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_SDK_DISABLED: 'TRUE' },
  OTEL_TRACES_EXPORTER: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_TRACES_EXPORTER: 'none' },
};

/** Returns the kept traces of 20 messages, half of which continue a sampled trace of a trusted client. */
const samplers: [env: Record<string, string>, kept: number][] = [
  [{ OTEL_TRACES_SAMPLER: 'always_off' }, 0],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, 10],
  [{ OTEL_TRACES_SAMPLER_ARG: '0' }, 10],
  [{ OTEL_TRACES_SAMPLER_ARG: '1' }, 20], // of the hub's own default, parentbased_traceidratio
];

/** A collector that accepts requests and never answers. */
async function hangingCollector(t: TestContext) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request) => requests.push(request));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('traces', () => {
  it('are on if an endpoint is set and no variable turns them off', () => {
    const url = 'http://collector:4318';
    assert.equal(tracesWanted({}), false);
    assert.equal(tracesWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }), false);
    assert.equal(tracesWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: url }), true);
    assert.equal(tracesWanted({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url }), true);
    assert.equal(
      tracesWanted({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '', OTEL_EXPORTER_OTLP_ENDPOINT: url }),
      true,
    );
    assert.equal(tracesWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: 'false' }), true);
    for (const env of Object.values(offInSomeWay)) assert.equal(tracesWanted(env), false);
  });

  for (const [env, kept] of samplers) {
    it(`are sampled as ${JSON.stringify(env)} says`, async (t) => {
      const sink = await sinkFor(t);
      const sampled = {
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink.url}/v1/traces`,
        WSHUB_TRUST_TRACEPARENT: 'true',
        ...env,
      };
      const hub = await hubFor(t, { workers: 1, env: sampled });
      const client = await connect(hub, 'sampled');
      for (let i = 0; i < 10; i++) {
        client.send({ i });
        client.send({ i, traceparent });
      }
      await client.take(20);
      await hub.end();
      assert.equal(sink.named('publish <channel>').length, kept);
      assert.equal(sink.named('process <channel>').length, kept);
    });
  }

  it('do not keep the hub from ending while their collector hangs', async (t) => {
    const collector = await hangingCollector(t);
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: 'always_on',
      // The SDK itself would wait for ten minutes.
      OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
      OTEL_BSP_EXPORT_TIMEOUT: '600000',
      OTEL_BSP_SCHEDULE_DELAY: '600000',
    };
    const hub = await hubFor(t, { env });
    const [a, b] = await connectApart(hub, 'hanging');
    a.send('unheard');
    await Promise.all([a.take(1), b.take(1)]);
    assert.equal((await hub.admin('DELETE', '/delete/hanging')).status, 200);
    assert.equal(collector.requests.length, 0);
    const startedAt = performance.now();
    await hub.end();
    t.diagnostic(`ended after ${Math.round(performance.now() - startedAt)} ms`);
    assert.equal(collector.requests.length, 3, 'the primary and both workers have tried');
    assert.equal(hub.log.filter(({ msg }) => msg === 'worker drained').length, 2);
    assert.equal(hub.log.filter(({ msg }) => msg === 'draining worker killed').length, 0);
  });

  it('that cannot be sent are logged', async (t) => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', // no server listens there
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    };
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, 'complaint');
    client.send(1);
    const line = await hub.logged('traces are not sent');
    assert.match(String(line['reason']), /ECONNREFUSED|imeout/);
    assert.equal(line.level, 'warn');
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

  it('keep one in a thousand by default', async (t) => {
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

  for (const [how, env] of Object.entries(offInSomeWay)) {
    it(`load nothing while they are off (${how}), and prom-client is only in the primary`, async (t) => {
      const noted = join(temporaryFolder(t), 'modules.txt');
      const hook = fileURLToPath(new URL('note-modules.ts', import.meta.url));
      const hub = await hubFor(t, {
        env: { ...env, NOTED_MODULES: noted, NODE_OPTIONS: `--import=${hook}` },
      });
      const [a, b] = await connectApart(hub, 'off');
      a.send({ traceparent });
      await b.next();
      assert.equal((await request(hub.opsPort, 'GET', '/readyz')).status, 200);
      const lines = readFileSync(noted, 'utf8').trim().split('\n');
      assert.equal(
        lines.filter((line) => line.startsWith('hook ')).length,
        3,
        'the hook is in all processes',
      );
      // prom-client loads OpenTelemetry's interface for its exemplars, in the primary; no process loads the SDK.
      const ofPrimary = new RegExp(`^${hub.pid} .*/@opentelemetry/api/`);
      const telemetry = lines.filter((line) => line.includes('/@opentelemetry/') && !ofPrimary.test(line));
      assert.deepEqual(telemetry, []);
      const promClient = lines.filter((line) => line.includes('/prom-client/'));
      assert.ok(promClient.length > 0);
      assert.deepEqual(new Set(promClient.map((line) => line.split(' ')[0])), new Set([String(hub.pid)]));
    });
  }
});
