/** The number of series of a hub is bounded, whatever clients do. */
import assert from 'node:assert/strict';
import { createConnection, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { descriptorLimit } from '../../src/platform/descriptors.ts';
import {
  connect,
  connectApart,
  connectWhere,
  eventually,
  handshake,
  hubFor,
  request,
  type HubProcess,
} from '../support.ts';
import { scrape, scrapeOfAll, sum } from './exposition.ts';

/** A hub's series with 8 workers, at most. */
const maxSeries = 1_000;

/** Everything that a client can do, on a channel of this name. */
async function useEverything(hub: HubProcess, name: string): Promise<void> {
  const [a, b] = await connectApart(hub, name);
  a.send({ hello: name });
  a.ws.send('no JSON');
  a.ws.send(Buffer.from(name), { binary: true });
  await Promise.all([a.take(3), b.take(1)]);
  await hub.admin('POST', `/channels/${name}/messages`, { body: '{}' });
  await hub.admin('GET', `/channels/${name}`);
  await hub.admin('GET', '/channels');
  await hub.admin('GET', '/state');
  b.send('x'.repeat(100_000));
  await b.end();
  const { workerId, connectionId } = a;
  await hub.admin('DELETE', `/kill-connection/${name}/${connectionId}/${workerId}`);
  await a.end();
  const rude = await connect(hub, name);
  rude.socket?.destroy();
  const polite = await connect(hub, name);
  await polite.close();
  await connect(hub, name);
  await hub.admin('DELETE', `/delete/${name}`);
  await assert.rejects(connect(hub, '%00'));
}

/** All requests possible without a token or with a wrong one, and invalid requests with the right one. */
async function askEverything(hub: HubProcess, name: string, strangeMethod: string): Promise<void> {
  const tokens = [{}, { authorization: `Bearer ${name}` }, { authorization: `Bearer ${hub.token}` }];
  const paths = [
    `/delete/${name}-nobody`,
    `/kill-connection/${name}/x/w1`,
    `/channels?limit=${name}`,
    `/channels/${name}-nobody`,
    `/channels/${'x'.repeat(256)}`,
    `/channels/${name}/messages`,
    '/state?limit=1',
    `/${name}`,
    `/${name}/%ff`,
    ...['/metrics', '/healthz', '/readyz'],
  ];
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', strangeMethod];
  for (const port of [hub.port, hub.opsPort]) {
    for (const path of paths) {
      for (const method of methods) {
        for (const headers of tokens) {
          // The response of /metrics is not JSON; bodies do not matter here.
          await request(port, method, path, { headers, body: 'no JSON' }).catch(() => undefined);
        }
      }
    }
  }
}

/** Opens connections, each to a channel of its own, without what a whole client costs. */
async function openChannels(t: TestContext, hub: HubProcess, count: number): Promise<void> {
  const sockets = new Set<Socket>();
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const head = Object.entries(handshake).map(([name, value]) => `${name}: ${value}\r\n`);
  const open = (channel: string) =>
    new Promise<void>((resolve, reject) => {
      const socket = createConnection(hub.port, '127.0.0.1');
      sockets.add(socket);
      socket.on('error', reject);
      socket.write(`GET /${channel} HTTP/1.1\r\nhost: hub\r\n${head.join('')}\r\n`);
      let answer = '';
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1');
        if (answer.includes('"status":"connected"')) resolve();
      });
      socket.on('close', () => {
        reject(new Error(`closed after ${answer}`));
      });
    });
  for (let i = 0; i < count; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, k) => open(`channel-${i + k}`)));
  }
}

describe('the series of a hub', () => {
  it('are fewer than 1 000 with 8 workers, and do not grow with load', async (t) => {
    const hub = await hubFor(t, { workers: 8 });
    const fresh = await scrape(hub);
    await useEverything(hub, 'one');
    await askEverything(hub, 'one', 'PROPFIND');
    const { pid } = hub.workers[3] ?? { pid: 0 };
    process.kill(pid, 'SIGKILL');
    await hub.logged('worker died', { workerPid: pid });
    await eventually(
      async () => (await request(hub.opsPort, 'GET', '/readyz')).status === 200 || undefined,
      'eight workers',
    );
    const before = await scrapeOfAll(hub, 8);
    t.diagnostic(`${fresh.samples.size} series at first, ${before.samples.size} after everything`);
    assert.ok(before.samples.size < maxSeries, `${before.samples.size} series`);

    await useEverything(hub, 'another');
    await askEverything(hub, 'another', 'MKCOL');
    await connectWhere(hub, 'another', (workerId) => workerId !== 'w1');
    const after = await scrapeOfAll(hub, 8);
    assert.deepEqual([...after.samples.keys()].sort(), [...before.samples.keys()].sort());
  });

  it('do not grow with 10 000 channels', async (t) => {
    if (descriptorLimit() < 12_000) {
      t.skip(`the limit of open files is ${descriptorLimit()}`);
      return;
    }
    const hub = await hubFor(t, { workers: 2, env: { WSHUB_LOG_LEVEL: 'info' } });
    const before = await scrapeOfAll(hub, 2);
    await openChannels(t, hub, 10_000);
    const after = await scrapeOfAll(hub, 2);
    assert.equal(sum(after.samples, 'wshub_channels'), 10_000);
    assert.equal(sum(after.samples, 'wshub_connections'), 10_000);
    assert.deepEqual([...after.samples.keys()].sort(), [...before.samples.keys()].sort());
    const { status, body } = await hub.admin('GET', '/state?limit=1');
    assert.equal(status, 200);
    assert.equal((body as { totals: { channels: number } }).totals.channels, 10_000);
  });
});
