/** What a client can do to the hub with HTTP alone: ask without reading, hold connections, send it in crumbs. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from '../../src/errors.ts';
import { FailedLogins } from '../../src/http/failed-logins.ts';
import { refuse } from '../../src/http/refuse.ts';
import { createHttpServer, maxPipelined } from '../../src/http/server.ts';
import { scrape, sum } from '../observability/exposition.ts';
import {
  connect,
  eventually,
  handshake,
  hubFor,
  openSocket,
  request,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';

const get = 'GET /room HTTP/1.1\r\nHost: hub\r\n\r\n';
const upgrade = `GET /room HTTP/1.1\r\nHost: hub\r\n${Object.entries(handshake)
  .map(([name, value]) => `${name}: ${value}`)
  .join('\r\n')}\r\n\r\n`;

/** The metric has these labels and is above 0, as soon as a scrape is new enough to show it. */
async function counted(on: HubProcess, name: string, ...labels: string[]): Promise<void> {
  await eventually(
    async () => (sum((await scrape(on)).samples, name, ...labels) > 0 ? true : undefined),
    `${name} ${labels.join(', ')}`,
  );
}

let hub: HubProcess;
before(async () => {
  hub = await startHub({ workers: 1 });
});
after(() => hub.end());

describe('one HTTP connection', () => {
  it('may send a few requests ahead, which are answered in order', async () => {
    const { socket, answer } = await openSocket(hub.port);
    const last = 'DELETE /nothing HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n';
    socket.write(get.repeat(maxPipelined - 1) + last);
    const statuses = [...(await answer).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    assert.deepEqual(statuses, [...Array<string>(maxPipelined - 1).fill('426'), '404']);
  });

  it('that sends many ahead is cut off', async () => {
    for (const port of [hub.port, hub.opsPort]) {
      const { socket, answer } = await openSocket(port);
      socket.write(get.repeat(2_000));
      await answer;
    }
    await counted(hub, 'wshub_http_requests_total', 'code="429"', 'route="none"');
    await (await connect(hub, 'room')).close();
  });

  it('is closed when an answer is not taken in time', async (t) => {
    const counts: number[] = [];
    const answer = (_request: IncomingMessage, response: ServerResponse) => {
      response.end(Buffer.alloc(64 * 1024 * 1024)); // more than any kernel buffers
    };
    const server = createHttpServer({ answerTimeoutMs: 300 }, answer, {
      answered: (_method, _route, code) => counts.push(code),
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const closed = new Promise((resolve) => {
      server.on('connection', (socket: Socket) => socket.on('close', resolve));
    });
    const { socket } = await openSocket((server.address() as AddressInfo).port);
    socket.pause();
    socket.write(get);
    await closed;
    socket.destroy();
    assert.deepEqual(counts, [408]);
  });

  it('is answered with JSON whatever it asks for', async () => {
    const cases: [sent: string, status: number, code: string][] = [
      ['CONNECT evil:443 HTTP/1.1\r\nHost: hub\r\n\r\n', 405, 'method_not_allowed'],
      ['TRACE /room HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n', 405, 'method_not_allowed'],
      ['MAGIC /room HTTP/1.1\r\nHost: hub\r\n\r\n', 400, 'bad_request'],
      [
        'GET /room HTTP/1.1\r\nHost: hub\r\nExpect: wonders\r\nConnection: close\r\n\r\n',
        426,
        'upgrade_required',
      ],
      [upgrade.replace('websocket', 'h2c'), 400, 'bad_request'],
      [upgrade.replace('GET', 'POST'), 400, 'bad_request'],
      [upgrade.replace('/room', 'http://evil/room'), 400, 'bad_channel'],
    ];
    for (const [sent, status, code] of cases) {
      const { socket, answer } = await openSocket(hub.port);
      socket.write(sent);
      assert.match(await answer, new RegExp(`^HTTP/1\\.1 ${status} .*"code":"${code}"`, 's'), sent);
    }
    await counted(hub, 'wshub_http_requests_total', 'code="405"', 'method="other"');
  });
});

describe('a refusal', () => {
  it('that nobody reads is given up', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const unread = new Duplex({ read: () => undefined, write: () => undefined });
    refuse(unread, new HubError('bad_channel'));
    t.mock.timers.tick(4_900);
    assert.equal(unread.destroyed, false);
    t.mock.timers.tick(200);
    assert.equal(unread.destroyed, true);
  });
});

describe('connections that are no WebSockets', () => {
  it('are as many for an address as its WebSockets may be, and those do not count', async (t) => {
    const limited = await hubFor(t, { workers: 1, env: { WSHUB_MAX_CONNECTIONS_PER_ADDRESS: '3' } });
    const { port } = limited;
    const clients: Client[] = [];
    for (let n = 0; n < 3; n += 1) clients.push(await connect(limited, 'room'));
    const silent = [await openSocket(port), await openSocket(port)];
    assert.equal((await request(port, 'GET', '/room')).status, 426);
    silent.push(await openSocket(port));
    const { answer } = await openSocket(port);
    assert.match(await answer, /^HTTP\/1\.1 429 .*Retry-After: \d+\r\n.*"too_many_connections"/s);
    await counted(limited, 'wshub_connections_rejected_total', 'reason="max_connections"');
    silent[0]?.socket.destroy();
    await eventually(
      () => request(port, 'GET', '/room').then(({ status }) => (status === 426 ? true : undefined)),
      'a place for one more',
    );
    for (const { socket } of silent) socket.destroy();
    await Promise.all(clients.map((client) => client.close()));
  });

  it('on the ops port are bounded, so that the primary keeps its descriptors', async () => {
    const silent = await Promise.all(Array.from({ length: 256 }, () => openSocket(hub.opsPort)));
    const { answer } = await openSocket(hub.opsPort);
    assert.equal(await answer, '');
    // The scrape needs a place itself.
    silent.pop()?.socket.destroy();
    await eventually(
      () =>
        scrape(hub).then(
          ({ samples }) => sum(samples, 'wshub_http_requests_total', 'code="503"') || undefined,
          () => undefined,
        ),
      'the count of what was dropped',
    );
    for (const { socket } of silent) socket.destroy();
    await eventually(
      () =>
        request(hub.opsPort, 'GET', '/readyz').then(
          ({ status }) => (status === 200 ? true : undefined),
          () => undefined,
        ),
      'an answer on the ops port',
    );
  });
});

describe('a message in crumbs', () => {
  it('of one byte each is given up long before it is whole', async () => {
    const { socket, answer } = await openSocket(hub.port);
    socket.setNoDelay(true).write(upgrade);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(Buffer.from([0x81, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0]));
    for (let n = 0; n < 60_000 && !socket.destroyed; n += 1) {
      socket.write(' ');
      await sleep(1);
    }
    assert.match(await answer, /"code":1008/);
  });
});

describe('wrong admin tokens', () => {
  it('count for the whole /64 of an IPv6 address', () => {
    const logins = new FailedLogins(3);
    for (const address of ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:ffff::3']) logins.failed(address, 0);
    assert.equal(logins.isBlocked('2001:db8::4', 0), true);
    assert.equal(logins.isBlocked('2001:db8:0:1::1', 0), false);
  });
});
