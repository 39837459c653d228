/** Requests that no port serves get JSON with a code of the error table. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import {
  codeOf,
  connect,
  handshake,
  openSocket,
  request,
  startHub,
  type Answer,
  type HubProcess,
} from '../support.ts';

describe('a refusal', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub.end());

  const outcome = (answer: Answer) => [answer.status, codeOf(answer)];
  const upgrade = (path: string, headers: http.OutgoingHttpHeaders = {}) =>
    request(hub.port, 'GET', path, { headers: { ...handshake, ...headers } });

  it('of a GET on a channel says to open a WebSocket', async () => {
    const answer = await request(hub.port, 'GET', '/room1');
    assert.deepEqual(outcome(answer), [426, 'upgrade_required']);
    assert.equal(answer.headers.upgrade, 'websocket');
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/);
  });

  it('names unknown paths and methods', async () => {
    assert.deepEqual(outcome(await request(hub.opsPort, 'GET', '/room1')), [404, 'not_found']);
    assert.deepEqual(outcome(await request(hub.port, 'POST', '/room1')), [404, 'not_found']);
    for (const port of [hub.port, hub.opsPort]) {
      for (const [method, path] of [
        ['POST', '/state'],
        ['GET', '/delete/room1'],
        ['PUT', '/channels'],
        ['DELETE', '/channels/room1/messages'],
      ] as const) {
        assert.deepEqual(outcome(await hub.admin(method, path, { port })), [405, 'method_not_allowed']);
      }
    }
  });

  it('keeps the probes to the ops port, where they need no token', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const answer = await request(hub.opsPort, 'GET', path);
      assert.deepEqual([answer.status, answer.body], [200, { status: 'ok' }]);
      assert.equal((await request(hub.port, 'GET', path)).status, 426);
    }
  });

  it('of a bad channel name comes before the handshake', async () => {
    const longest = 'x'.repeat(255);
    assert.equal((await connect(hub, longest)).channel, longest);
    for (const [what, path] of [
      ['empty', '/'],
      ['empty with a query', '/?echo=false'],
      ['256 bytes', `/${'x'.repeat(256)}`],
      ['256 bytes of UTF-8', `/${'%C3%BC'.repeat(128)}`],
      ['a control character', '/a%00b'],
      ['a line feed', '/a%0Ab'],
      ['DEL', '/a%7F'],
      ['a C1 control', '/a%C2%85'],
      ['a broken percent', '/a%'],
      ['a broken percent', '/a%zz'],
      ['no UTF-8', '/a%FF'],
      ['a surrogate half', '/a%ED%A0%80'],
      ['overlong UTF-8', '/%C0%AF'],
    ] as const) {
      const answer = await upgrade(path);
      assert.deepEqual(outcome(answer), [400, 'bad_channel'], what);
    }
    for (const path of ['/delete/a%00b', '/delete/a%FF', `/delete/${'x'.repeat(256)}`, '/delete/%zz']) {
      assert.deepEqual(outcome(await hub.admin('DELETE', path)), [400, 'bad_channel'], path);
    }
  });

  it('is not made of names that are merely unusual', async () => {
    const names = ['a/b', 'a b', 'ü', '日本', '👋', 'state', 'delete/x', 'a?b', 'a#b', '/', '__proto__', '%'];
    for (const name of names) {
      const client = await connect(hub, encodeURIComponent(name));
      assert.equal(client.channel, name);
      client.send({ name });
      assert.deepEqual(await client.next(), { name });
      const { status, body } = await hub.admin('DELETE', `/delete/${encodeURIComponent(name)}`);
      assert.deepEqual({ status, body }, { status: 200, body: { channel: name, closed: 1 } });
    }
  });

  it('of a handshake that is none is JSON too', async () => {
    for (const [what, headers] of [['a bad key', { 'sec-websocket-key': 'short' }]] as const) {
      assert.deepEqual(outcome(await upgrade('/room1', headers)), [400, 'bad_request'], what);
    }
  });

  for (const port of ['port', 'opsPort'] as const) {
    it(`of what is no HTTP or too much of it closes the socket, on the ${port}`, async () => {
      for (const [bytes, status, code] of [
        ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'bad_request'],
        ['GET /room1 HTTP/9.9\r\n\r\n', 400, 'bad_request'],
        ['GET /state HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'bad_request'],
        [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\n`, 431, 'headers_too_large'],
        [`GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
      ] as const) {
        const { socket, answer } = await openSocket(hub[port]);
        socket.write(bytes, 'latin1');
        const text = await answer;
        assert.match(text, new RegExp(`^HTTP/1.1 ${status} `));
        const { error } = JSON.parse(text.slice(text.indexOf('{'))) as { error: { code: string } };
        assert.equal(error.code, code);
      }
    });
  }
});
