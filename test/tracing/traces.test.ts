/** Traces of a real hub, as an OTLP collector gets them: a message across workers, an admin request, garbage. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Publication } from '../../src/channel/publication.ts';
import { Counters } from '../../src/metrics/counters.ts';
import { OtelTracing, parseTraceparent } from '../../src/tracing/otel.ts';
import { FrameEncoder } from '../../src/relay/mesh/frame-encoder.ts';
import { now } from '../../src/platform/clock.ts';
import { table } from '../docs/pages.ts';
import {
  connect,
  connectApart,
  connectWhere,
  hubFor,
  openSocket,
  request,
  handshake,
  temporaryFolder,
} from '../support.ts';
import { scrape, sum } from '../metrics/exposition.ts';
import type { SinkSpan } from './otlp-sink.ts';
import { sinkFor, spans, tracedEnv } from './traced.ts';

const given = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${given.traceId}-${given.spanId}-01`;

const kept = JSON.stringify([{ historySize: 10, historyTtl: '1h' }]);

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

  it('continue the traceparent of a trusted client, and ignore invalid ones', async (t) => {
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

  it('follow an admin request to every worker, and are named in its log line', async (t) => {
    const sink = await sinkFor(t);
    const hub = await hubFor(t, { env: tracedEnv(sink) });
    const [a, b] = await connectApart(hub, 'doomed');
    assert.equal((await hub.admin('DELETE', '/delete/doomed')).status, 200);
    await Promise.all([a.end(), b.end()]);
    const [admin] = await spans(sink, 'DELETE /delete/:channel', 1);
    const controls = await spans(sink, 'control delete_channel', 2);
    assert.equal(admin.kind, 2);
    assert.equal(new Set([admin, ...controls].map(instance)).size, 3);
    assert.equal(admin.parentSpanId, '');
    assert.equal(admin.resource['wshub.worker'], 'primary');
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

  it('follow a message over HTTP into the history and to its clients, and a client that resumes', async (t) => {
    const sink = await sinkFor(t);
    const env = { ...tracedEnv(sink), WSHUB_NAMESPACES: kept };
    const hub = await hubFor(t, { env });
    const [here, there] = await connectApart(hub, 'kept');
    const headers = { 'idempotency-key': 'k' };
    for (const port of [hub.port, hub.opsPort]) {
      await hub.admin('POST', '/channels/kept/messages', { port, body: '1', headers });
    }
    assert.deepEqual([await here.next(), await there.next()], [1, 1]);
    await hub.admin('POST', '/publish', { body: '[{"channel":"kept","data":2}]' });
    const requests = [
      ...(await spans(sink, 'POST /channels/:channel/messages', 2)),
      ...(await spans(sink, 'POST /publish', 1)),
    ];
    const published = await spans(sink, 'publish <channel>', 3);
    const appended = await spans(sink, 'append <channel>', 3);
    for (const { traceId, spanId } of requests) {
      const publish = published.find((span) => span.traceId === traceId);
      assert.equal(publish?.parentSpanId, spanId);
      const append = appended.find((span) => span.traceId === traceId);
      assert.deepEqual([append?.parentSpanId, append?.kind], [publish.spanId, 3]);
    }
    assert.deepEqual(
      appended
        .map(({ attributes }) => attributes['wshub.duplicate'])
        .filter((reason) => reason !== undefined),
      ['key'],
    );
    const processed = await spans(sink, 'process <channel>', 4);
    assert.equal(processed.length, 4, 'two messages in two workers; the duplicate is not delivered');
    await connect(hub, 'kept?history=5');
    const [resume] = await spans(sink, 'resume <channel>', 1);
    const upgrade = sink.named('GET /<channel>').find(({ spanId }) => spanId === resume.parentSpanId);
    assert.equal(upgrade?.traceId, resume.traceId);
    assert.equal(resume.attributes['wshub.publications'], 2);
  });

  it('say with which status a publish was answered', async (t) => {
    const sink = await sinkFor(t);
    const hub = await hubFor(t, { env: tracedEnv(sink) });
    for (const port of [hub.port, hub.opsPort]) {
      await hub.admin('POST', '/channels/room/messages', { port, body: '1' });
    }
    for (const span of await spans(sink, 'POST /channels/:channel/messages', 2)) {
      assert.equal(span.attributes['http.response.status_code'], 202);
    }
  });

  it('contain no token, like the log', async (t) => {
    const sink = await sinkFor(t);
    const secret = 'a-secret-of-the-tests'.repeat(2);
    const secretFile = join(temporaryFolder(t), 'jwt.secret');
    writeFileSync(secretFile, secret);
    const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
    const claims = Buffer.from('{"exp":4000000000,"channels":[{"name":"*","can":["subscribe","publish"]}]}');
    const signed = `${header}.${claims.toString('base64url')}`;
    const good = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    const bad = `${signed}.c2lnbmVkLWJ5LW5vYm9keQ`;
    const env = { ...tracedEnv(sink), WSHUB_TRACE_CHANNELS: 'true', WSHUB_JWT_SECRET_FILE: secretFile };
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, `secrets?token=${good}`);
    client.send('told');
    await client.take(1);
    await connect(hub, 'secrets', { headers: { authorization: `Bearer ${good}` } });
    const refused = [
      await request(hub.port, 'GET', `/secrets?token=${bad}`, { headers: handshake }),
      await request(hub.port, 'GET', '/secrets', {
        headers: { ...handshake, authorization: `Bearer ${bad}` },
      }),
    ];
    assert.deepEqual(
      refused.map(({ status }) => status),
      [401, 401],
    );
    assert.equal((await hub.admin('DELETE', '/delete/secrets')).status, 200);
    await spans(sink, 'GET /<channel>', 4);
    await spans(sink, 'control delete_channel', 1);
    const said = [...sink.bodies.map((body) => body.toString('latin1')), JSON.stringify(hub.log)];
    for (const word of [good, bad, signed, secret, hub.token, 'token=', 'Bearer']) {
      assert.ok(!said.some((text) => text.includes(word)), word);
    }
    const [line] = hub.log.filter(({ msg }) => msg === 'client refused');
    const upgrades = sink.named('GET /<channel>');
    assert.ok(
      upgrades.some(({ traceId }) => traceId === line?.['traceId']),
      'the log line names the trace',
    );
    const { traceId } = await hub.logged('connection opened');
    assert.ok(
      upgrades.some((span) => span.traceId === traceId),
      'the log line names the trace',
    );
  });

  it('are those that docs/tracing.md lists', async (t) => {
    const sink = await sinkFor(t);
    const env = { ...tracedEnv(sink), WSHUB_NAMESPACES: kept };
    const hub = await hubFor(t, { workers: 1, env });
    const client = await connect(hub, 'all?history=1');
    client.send('kinds');
    await client.take(1);
    await hub.admin('POST', '/channels/all/messages', { body: '1' });
    await hub.admin('GET', '/state');
    await hub.admin('DELETE', '/delete/all');
    await spans(sink, 'control delete_channel', 1);
    await spans(sink, 'POST /channels/:channel/messages', 1);
    await spans(sink, 'process <channel>', 2);
    await spans(sink, 'append <channel>', 2);
    await spans(sink, 'DELETE /delete/:channel', 1);
    const general = (name: string) =>
      name.replace(/^(DELETE|POST) .*/, '$1 <route>').replace(/^control .*/, 'control <action>');
    const kinds: Record<number, string> = { 2: 'SERVER', 3: 'CLIENT', 4: 'PRODUCER', 5: 'CONSUMER' };
    const seen = new Set(sink.spans.map(({ name, kind }) => `${general(name)}: ${kinds[kind] ?? ''}`));
    const listed = table('docs/tracing.md', 'spans').flatMap(([names = '', kind = '']) =>
      names.split(', ').map((name) => `${name}: ${kind}`),
    );
    assert.deepEqual([...seen].sort(), listed.sort());
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
});

describe('a trace block from a link', () => {
  it('that is invalid is counted, and its message is delivered', async (t) => {
    const sink = await sinkFor(t);
    const hellos = join(temporaryFolder(t), 'hellos');
    const env = {
      ...tracedEnv(sink),
      WSHUB_HANDLERS: join(import.meta.dirname, '../fuzz/functions.ts'),
      TEST_HELLO_FILE: hellos,
    };
    const hub = await hubFor(t, { env });
    const client = await connectWhere(hub, 'listening', (workerId) => workerId === 'w2');
    const { hubId } = JSON.parse(readFileSync(hellos, 'utf8').split('\n')[0] ?? '') as { hubId: string };
    const good = Buffer.from(`00${given.traceId}${given.spanId}01`, 'hex');
    const blocks = [Buffer.alloc(26), Buffer.alloc(26, 0xff), good];
    // It pretends to be the sibling, and tries the possible numbers of the channel at w2.
    const { socket } = await openSocket(join(hub.runtimeDir, 'w2.sock'));
    const frames = new FrameEncoder();
    frames.json('hello', { hubId, from: 'w1', to: 'w2' });
    for (let channelId = 1; channelId < 100; channelId++) {
      for (const [index, block] of blocks.entries()) {
        const publication = new Publication(Buffer.from(String(index)), 'ws');
        publication.trace(block);
        frames.publish(channelId, publication, now());
      }
    }
    socket.write(frames.take());
    assert.deepEqual(await client.take(3), [0, 1, 2]);
    const [processed] = await spans(sink, 'process <channel>', 1);
    assert.equal(processed.traceId, given.traceId);
    assert.equal(sink.named('process <channel>').length, 1);
    const { samples } = await scrape(hub);
    assert.equal(sum(samples, 'wshub_relay_errors_total', 'reason="decode"'), 1);
    assert.equal(sum(samples, 'wshub_relay_errors_total', 'reason="version"'), 1);
    socket.destroy();
  });

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
      complain: () => undefined,
    };
    const tracing = new OtelTracing({ ...options, errors: relayErrors });
    const deliver = (block: Buffer) => {
      tracing.delivered({ traceContext: block, startedAt: 1, relaySeconds: 0 }, 'x', 1, 2);
    };
    deliver(Buffer.alloc(26));
    deliver(Buffer.alloc(26, 0xff));
    deliver(Buffer.alloc(3));
    assert.deepEqual(relayErrors, { decode: 2, version: 1, peer_reset: 0 });
    await tracing.shutdown();
  });

  it('and a traceparent are told from good ones', () => {
    assert.deepEqual(parseTraceparent(traceparent), { ...given, traceFlags: 1, isRemote: true });
    const later = `01${traceparent.slice(2)}-more`; // a later version may add fields
    assert.deepEqual(parseTraceparent(later), { ...given, traceFlags: 1, isRemote: true });
    for (const bad of [undefined, 1, '', 'x', traceparent.toUpperCase(), `${traceparent}-more`]) {
      assert.equal(parseTraceparent(bad), null);
    }
  });
});
