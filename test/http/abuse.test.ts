/** Abuse of HTTP: requests without reading responses, held connections, input in tiny pieces. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from '../../src/platform/errors.ts';
import { FailedLogins } from '../../src/http/failed-logins.ts';
import { refuse } from '../../src/http/refuse.ts';
import { clientFrame } from '../client-frame.ts';
import { counted } from '../metrics/exposition.ts';
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

const maxPipelined = 5;

let hub: HubProcess;
before(async () => {
  hub = await startHub({
    workers: 1,
    env: {
      WSHUB_MAX_PIPELINED_REQUESTS: String(maxPipelined),
      WSHUB_MAX_HEADER_BYTES: '5000',
      WSHUB_MAX_MESSAGE_PIECES: '100',
      WSHUB_MAX_PAYLOAD: '25600',
      WSHUB_REQUEST_TIMEOUT_MS: '1000',
      WSHUB_HANDSHAKE_TIMEOUT_MS: '1000',
    },
  });
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

  it('that sends more ahead is refused and ended', async () => {
    for (const port of [hub.port, hub.opsPort]) {
      for (const count of [maxPipelined + 1, 2_000]) {
        const { socket, answer } = await openSocket(port);
        socket.write(get.repeat(count));
        assert.match(await answer, /HTTP\/1\.1 429 .*Retry-After: \d+\r\n.*"rate_limited"[^]*$/s);
      }
    }
    await counted(hub, 'wshub_http_requests_total', 'code="429"', 'route="none"');
    await (await connect(hub, 'room')).close();
  });

  it('is cut off when an answer is not taken in time', async (t) => {
    const env = { WSHUB_ANSWER_TIMEOUT_MS: '500', WSHUB_MAX_PIPELINED_REQUESTS: '1000' };
    const unread = await hubFor(t, { workers: 1, env });
    const { socket } = await openSocket(unread.opsPort);
    socket.pause();
    const ended = new Promise((resolve) => socket.once('close', resolve));
    const scrape = 'GET /metrics HTTP/1.1\r\nHost: hub\r\n\r\n';
    socket.write(scrape.repeat(1_000)); // answers for more than any kernel buffers: some 40 MB
    await counted(unread, 'wshub_http_requests_total', 'code="408"', 'route="none"', 'method="GET"');
    socket.resume();
    await ended;
  });

  it('with a request that is incomplete after the timeout is refused', async () => {
    const { socket, answer } = await openSocket(hub.port);
    const length = 'Content-Length: 10\r\n\r\n"half';
    socket.write(
      `POST /channels/room/messages HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${hub.token}\r\n${length}`,
    );
    assert.match(await answer, /^HTTP\/1\.1 408 .*"request_timeout"/s);
    await counted(hub, 'wshub_http_requests_total', 'code="408"');
  });

  it('with longer headers than it may have is refused, and with shorter ones not', async () => {
    for (const [bytes, status] of [
      [4_900, 426],
      [5_100, 431],
    ] as const) {
      const { socket, answer } = await openSocket(hub.port);
      const head = 'GET /room HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nX-Long: ';
      socket.write(`${head}${'a'.repeat(bytes - head.length - 4)}\r\n\r\n`);
      assert.match(await answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    }
    await counted(hub, 'wshub_http_requests_total', 'code="431"');
  });

  it('needs linear time for long runs of blanks in a header', async () => {
    const bystander = await connect(hub, 'room');
    for (const [blanks, value] of [
      [3_900, ''],
      [3_400, 'x'], // as nginx passes it on
    ] as const) {
      const { socket, answer } = await openSocket(hub.port);
      socket.write(
        Buffer.from(
          `GET /x HTTP/1.1\r\nConnection: close\r\na:${value}${' '.repeat(blanks)}\x80\r\n\r\n`,
          'latin1',
        ),
      );
      assert.match(await answer, /^HTTP\/1\.1 400 .*"bad_request"/s);
      bystander.send('served');
      assert.equal(await bystander.next(), 'served');
    }
    await bystander.close();
    assert.ok(!hub.log.some(({ msg }) => msg === 'worker died'));
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
      ['GET http://[::1/state HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n', 400, 'bad_channel'],
      [upgrade.replace('/room', 'http://[::1/room'), 400, 'bad_channel'],
      [upgrade.replace('/room', 'ftp://hub/room'), 400, 'bad_channel'],
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
  it('that is not read is dropped', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const unread = new Duplex({ read: () => undefined, write: () => undefined });
    refuse(unread, new HubError('bad_channel'), 5_000);
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
    await counted(limited, 'wshub_connections_rejected_total', 'reason="too_many_connections"');
    silent[0]?.socket.destroy();
    await eventually(
      () => request(port, 'GET', '/room').then(({ status }) => (status === 426 ? true : undefined)),
      'a place for one more',
    );
    for (const { socket } of silent) socket.destroy();
    await Promise.all(clients.map((client) => client.close()));
  });

  it('on the ops port are bounded, so that the primary keeps its descriptors', async (t) => {
    const limited = await hubFor(t, { workers: 1, env: { WSHUB_MAX_OPS_CONNECTIONS: '20' } });
    const silent = await Promise.all(Array.from({ length: 20 }, () => openSocket(limited.opsPort)));
    const { answer } = await openSocket(limited.opsPort);
    assert.match(await answer, /^HTTP\/1\.1 503 .*Retry-After: \d+\r\n.*"overloaded"/s);
    for (const { socket } of silent) socket.destroy();
    await eventually(
      () =>
        request(limited.opsPort, 'GET', '/readyz').then(
          ({ status }) => (status === 200 ? true : undefined),
          () => undefined,
        ),
      'an answer on the ops port',
    );
    await counted(limited, 'wshub_http_requests_total', 'code="503"', 'route="none"');
  });
});

describe('a message in crumbs', () => {
  it('of one byte each is refused long before it is complete', async () => {
    const { socket, answer } = await openSocket(hub.port);
    socket.setNoDelay(true).write(upgrade);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(Buffer.from([0x81, 0x80 | 126, 0x60, 0, 0, 0, 0, 0]));
    for (let n = 0; n < 0x6000 && !socket.destroyed; n += 1) {
      socket.write(' ');
      await sleep(1);
    }
    assert.match(await answer, /"code":1008/);
    await counted(hub, 'wshub_message_errors_total', 'reason="too_many_pieces"');
    await counted(hub, 'wshub_connections_closed_total', 'reason="policy_violation"');
  });

  it('is refused when far more bytes arrive between its parts than it may have', async () => {
    const { socket, answer } = await openSocket(hub.port);
    socket.write(upgrade);
    await new Promise((resolve) => socket.once('data', resolve));
    const pong = clientFrame(0x8a, Buffer.alloc(125));
    const padding = Buffer.concat(Array.from({ length: 400 }, () => pong));
    for (let crumb = 0; crumb < 10; crumb += 1) {
      const opcode = crumb === 0 ? 0x01 : 0x00; // the beginning of a message, then one byte more and one more
      socket.write(Buffer.concat([clientFrame(opcode, Buffer.from('"')), padding]));
    }
    assert.match(await answer, /"policy_violation","code":1008/);
    await counted(hub, 'wshub_message_errors_total', 'reason="too_many_pieces"');
  });

  it('may have as many fragments as the setting allows, and not one more', async () => {
    for (const [fragments, code] of [
      [100, undefined],
      [101, 1008],
    ] as const) {
      const client = await connect(hub, 'pieces');
      client.ws.send('"', { fin: false });
      for (let n = 2; n < fragments; n += 1) client.ws.send('', { fin: false });
      client.ws.send('"', { fin: true });
      if (code === undefined) {
        assert.equal(await client.next(), '');
        await client.close();
      } else {
        assert.equal((await client.end()).code, code);
      }
    }
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
