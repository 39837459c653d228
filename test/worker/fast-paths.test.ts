/** The parts that depend on undocumented behaviour, and a hub without them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkFastPaths } from '../../src/worker/fast-paths.ts';
import { scrapeOfAll, sum } from '../metrics/exposition.ts';
import { reservedPort } from '../reserved-port.ts';
import { connect, connectApart, handshake, hubFor, openSocket, request, runCli } from '../support.ts';

const parts = ['raw_socket', 'listening_socket', 'http_injection'];

describe('the fast paths', () => {
  const isOn = process.env['NODE_TEST_WSHUB_FAST_PATHS'] !== 'off';

  it('all pass their checks on this Node, and nothing is logged', { skip: !isOn }, async () => {
    const warned: unknown[] = [];
    const paths = await checkFastPaths({ warn: (...args: unknown[]) => warned.push(args) } as never);
    assert.deepEqual(paths, Object.fromEntries(parts.map((part) => [part, true])));
    assert.deepEqual(warned, []);
  });

  it('are exported for each worker', { skip: !isOn }, async (t) => {
    const hub = await hubFor(t, { workers: 2 });
    const { samples } = await scrapeOfAll(hub, 2);
    for (const part of parts) assert.equal(sum(samples, 'wshub_fast_path', `part="${part}"`), 2, part);
  });
});

describe('a hub without fast paths', () => {
  it('logs and exports that, and serves', async (t) => {
    const hub = await hubFor(t, { workers: 2, env: { NODE_TEST_WSHUB_FAST_PATHS: 'off' } });
    for (const part of parts) {
      const lines = hub.log.filter(({ msg, part: named }) => msg === 'fast path off' && named === part);
      assert.equal(lines.length, 2, `lines about ${part}`);
      assert.ok(lines.every(({ level, cost }) => level === 'warn' && typeof cost === 'string'));
    }
    const { samples } = await scrapeOfAll(hub, 2);
    for (const part of parts) {
      assert.equal(sum(samples, 'wshub_fast_path', `part="${part}"`), 0, part);
    }

    const [one, other] = await connectApart(hub, 'room');
    one.send({ type: 'hello' });
    assert.deepEqual(await one.take(1), [{ type: 'hello' }]);
    assert.deepEqual(await other.take(1), [{ type: 'hello' }]);
    await Promise.all([one.close(), other.close()]);
  });

  it('accepts a handshake that is followed by bytes or comes in pieces, and answers HTTP', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { NODE_TEST_WSHUB_FAST_PATHS: 'off' } });
    const { socket, answer } = await openSocket(hub.port);
    const head = Object.entries({ host: 'x', ...handshake }).map(([name, value]) => `${name}: ${value}`);
    const text = ['GET /room HTTP/1.1', ...head, '', ''].join('\r\n');
    socket.write(text.slice(0, 40));
    const witness = await connect(hub, 'room');
    // A text message and a close frame right behind the request.
    const frames = Buffer.from([0x81, 0x83, 0, 0, 0, 0, 0x22, 0x79, 0x22, 0x88, 0x80, 0, 0, 0, 0]);
    socket.write(Buffer.concat([Buffer.from(text.slice(40)), frames]));
    assert.deepEqual(await witness.take(1), ['y']);
    assert.match(await answer, /^HTTP\/1\.1 101 /);
    await witness.close();
    assert.equal((await request(hub.port, 'GET', '/room')).status, 426);
  });

  it('serves on one port through a worker that dies, a reload and a stop', async (t) => {
    const port = reservedPort();
    const env = { NODE_TEST_WSHUB_FAST_PATHS: 'off', WSHUB_PORT: String(port) };
    const hub = await hubFor(t, { workers: 1, env });
    const first = hub.log.find(({ msg }) => msg === 'worker ready');
    process.kill(Number(first?.['workerPid']), 'SIGKILL');
    await hub.logged('worker ready', { workerId: 'w2' });
    await (await connect(hub, 'room')).close();
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    await (await connect(hub, 'room')).close();
    const second = await runCli([], { ...env, WSHUB_OPS_PORT: '0', WSHUB_HOST: '127.0.0.1' });
    assert.match(second.stderr, /the port is in use by another process/);
  });
});
