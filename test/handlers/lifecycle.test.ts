/** onStart, onStop, and what a context says of the client's request, over a running hub. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, hubFor, runCli, temporaryFolder } from '../support.ts';

const handlers = { WSHUB_HANDLERS: join(import.meta.dirname, 'lifecycle-functions.ts') };

describe('onStart', () => {
  it('ends in every worker before the first client connects', async (t) => {
    const hub = await hubFor(t, { env: handlers });
    for (let count = 0; count < 8; count += 1) {
      const client = await connect(hub, 'a');
      client.send({ type: 'started' });
      assert.equal(await client.next(), true);
    }
  });

  for (const [name, env, why] of [
    ['throws', {}, 'no database'],
    ['takes too long', { TEST_ENDLESS: '1', WSHUB_HANDLER_TIMEOUT_MS: '100' }, 'no result within 100 ms'],
  ] as const) {
    it(`that ${name} ends the start with one line`, async (t) => {
      const folder = temporaryFolder(t);
      const file = join(folder, 'failure');
      if (name === 'throws') writeFileSync(file, '');
      const ports = { WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', WSHUB_WORKERS: '2', TMPDIR: folder };
      const { code, stderr } = await runCli([], { ...ports, ...handlers, ...env, TEST_FAILURE_FILE: file });
      assert.deepEqual([code, stderr], [1, `wshub: the handler onStart failed: ${why}\n`]);
    });
  }

  it('that fails makes a reload fail, and the workers continue', async (t) => {
    const file = join(temporaryFolder(t), 'failure');
    const hub = await hubFor(t, { workers: 1, env: { ...handlers, TEST_FAILURE_FILE: file } });
    writeFileSync(file, '');
    hub.signal('SIGHUP');
    const { reason } = await hub.logged('reload failed; the current workers keep serving');
    assert.match(String(reason), /the handler onStart failed: no database/);
    const { err } = await hub.logged('handler failed', { handler: 'onStart' });
    assert.match((err as { stack: string }).stack, /lifecycle-functions/);
    await (await connect(hub, 'a')).close();
    rmSync(file);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
  });
});

describe('onStop', () => {
  it('runs after the last client has disconnected, and publishes to clients of other workers', async (t) => {
    const gate = join(temporaryFolder(t), 'gate');
    const hub = await hubFor(t, {
      workers: 1,
      env: { ...handlers, TEST_GATE_FILE: gate, WSHUB_DRAIN_SPREAD_MS: '0' },
    });
    const [{ workerId } = { workerId: '' }] = hub.workers;
    const old = await connect(hub, 'news');
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    assert.equal((await old.end()).code, 1012);
    const client = await connect(hub, 'news');
    writeFileSync(gate, '');
    assert.deepEqual(await client.next(), { stopped: workerId });
    await hub.logged('reload done');
  });

  it('that fails is logged, and the hub stops all the same', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: handlers });
    hub.signal('SIGTERM');
    await hub.logged('handler failed', { handler: 'onStop', level: 'error' });
    assert.equal(await hub.ended(), 0);
  });
});

describe("a handler's context", () => {
  it("has the client's address, query, headers and cookies", async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...handlers, WSHUB_TRUST_PROXY: '1' } });
    const headers = {
      'X-Forwarded-For': '203.0.113.7',
      'X-Tenant': 'blue',
      Cookie: 'session=a%20b; theme="dark"; __proto__=x',
    };
    // One that the hub's own parser reads, and one that is left to node:http because it is long.
    for (const filler of ['', 'x'.repeat(5_000)]) {
      const client = await connect(hub, 'room?echo=false', { headers: { ...headers, 'X-Filler': filler } });
      client.send({ type: 'request' });
      const said = (await client.next()) as Record<string, Record<string, string>>;
      assert.equal(said['address'], '203.0.113.7');
      assert.deepEqual(said['query'], { echo: 'false' });
      assert.deepEqual(Object.entries(said['cookies'] ?? {}).sort(), [
        ['__proto__', 'x'],
        ['session', 'a b'],
        ['theme', 'dark'],
      ]);
      assert.equal(said['headers']?.['x-tenant'], 'blue');
      assert.equal(said['headers']['x-filler'], filler);
      assert.equal(said['headers']['upgrade'], 'websocket');
      await client.close();
    }
  });

  it('has a log whose lines name the connection and its channel', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: handlers });
    const client = await connect(hub, 'room');
    client.send({ type: 'log' });
    const { connectionId } = client;
    const line = await hub.logged('a line', { connectionId, channel: 'room', level: 'info' });
    assert.equal(line.worker, 'w1');
    await hub.logged('a line with members', { connectionId, channel: 'room', colour: 'red', level: 'warn' });
  });
});
