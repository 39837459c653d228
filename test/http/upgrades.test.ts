/** Upgrade requests: handshakes, refusals, and requests whose upgrade is ignored. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { codeOf, connect, handshake, openSocket, request, startHub, type HubProcess } from '../support.ts';

let hub: HubProcess;
before(async () => {
  hub = await startHub();
});
after(() => hub.end());

const upgrade = (path: string, headers: Readonly<Record<string, string>> = {}) =>
  request(hub.port, 'GET', path, { headers: { ...handshake, ...headers } });

const lines = (...text: string[]) => `${text.join('\r\n')}\r\n\r\n`;
const handshakeLines = Object.entries(handshake).map(([name, value]) => `${name}: ${value}`);

/** Sends bytes, and collects the response until it matches. */
async function exchange(port: number, bytes: string, until: RegExp): Promise<string> {
  const { socket } = await openSocket(port);
  const text = await continued(socket, bytes, until);
  socket.destroy();
  return text;
}

function continued(socket: Socket, bytes: string, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!until.test(text)) return;
      socket.off('data', take).off('close', fail);
      resolve(text);
    };
    const fail = () => {
      reject(new Error(`ended after ${JSON.stringify(text)}`));
    };
    socket.on('data', take).on('close', fail);
    socket.write(bytes);
  });
}

const statusesOf = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

describe('an upgrade to another protocol', () => {
  const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'];

  for (const port of ['port', 'opsPort'] as const) {
    it(`is ignored, and the request answered, on the ${port}`, async () => {
      const client = await connect(hub, 'room');
      const head = ['Host: hub', `Authorization: Bearer ${hub.token}`];
      const post = ['POST /channels/room/messages HTTP/1.1', ...head, ...h2c];
      const { socket } = await openSocket(hub[port]);
      for (const [bytes, status] of [
        [`${lines(...post, 'Content-Length: 8')}"posted"`, 202],
        [`${lines(...post, 'Transfer-Encoding: chunked')}9\r\n"chunked"\r\n0\r\n\r\n`, 202],
        [lines('GET /state HTTP/1.1', ...head, ...h2c), 200],
        [lines('GET /channels/none HTTP/1.1', ...head), 404],
      ] as const) {
        assert.deepEqual(statusesOf(await continued(socket, bytes, /\}$/)), [status], bytes);
      }
      socket.destroy();
      assert.deepEqual(await client.take(2), ['posted', 'chunked']);
      await client.close();
    });

    it(`is ignored as curl asks for it, on the ${port}`, async (t) => {
      const args = ['-sS', '--http2', '-w', '%{http_code}', '-H', `Authorization: Bearer ${hub.token}`];
      const url = `http://127.0.0.1:${hub[port]}/channels/room/messages`;
      const body = '{"from":"curl"}';
      const run = await promisify(execFile)('curl', [...args, '-d', body, url]).catch(
        (error: unknown) => error,
      );
      const { stdout, code } = run as { stdout: string; code?: unknown };
      if (code === 'ENOENT') {
        t.skip('there is no curl');
        return;
      }
      assert.equal(stdout, '{"channel":"room"}202');
    });
  }

  it('is ignored for a channel, which asks for a WebSocket', async () => {
    const answer = await upgrade('/room', { upgrade: 'h2c' });
    assert.deepEqual([answer.status, codeOf(answer)], [426, 'upgrade_required']);
  });

  it('is ignored with another method than GET', async () => {
    const answer = await request(hub.port, 'DELETE', '/room', { headers: handshake });
    assert.deepEqual([answer.status, codeOf(answer)], [404, 'not_found']);
  });
});

describe('a handshake', () => {
  it('behind a request that is not answered yet does not overtake the answer', async () => {
    const get = lines('GET /state HTTP/1.1', 'Host: hub', `Authorization: Bearer ${hub.token}`);
    const late = lines('GET /room HTTP/1.1', 'Host: hub', ...handshakeLines);
    const text = await exchange(hub.port, get + late, /HTTP[^]*HTTP[^]*\}\}$/);
    assert.deepEqual(statusesOf(text), [200, 426]);
    assert.doesNotMatch(text, /"connected"/);
  });

  it('behind a request that is answered is accepted', async () => {
    const { socket } = await openSocket(hub.port);
    const get = lines('GET /room HTTP/1.1', 'Host: hub');
    assert.deepEqual(statusesOf(await continued(socket, get, /\}\}$/)), [426]);
    const late = lines('GET /room HTTP/1.1', 'Host: hub', ...handshakeLines);
    assert.deepEqual(statusesOf(await continued(socket, late, /"connected"/)), [101]);
    socket.destroy();
  });

  it('may have the absolute form, whose host then counts', async () => {
    const line = 'GET http://hub.example:80/room%201?echo=false HTTP/1.1';
    const origin = 'Origin: https://hub.example';
    const bytes = lines(line, 'Host: other.example', origin, ...handshakeLines);
    assert.match(await exchange(hub.port, bytes, /"connected"/), /^HTTP\/1\.1 101 [^]*"channel":"room 1"/);
  });

  it('of another version is told which one to use', async () => {
    for (const version of ['7', '14', '', 'x']) {
      const answer = await upgrade('/room', { 'sec-websocket-version': version });
      assert.deepEqual([answer.status, codeOf(answer)], [426, 'upgrade_required'], version);
      assert.equal(answer.headers['sec-websocket-version'], '13');
      assert.equal(answer.headers.upgrade, 'websocket');
    }
  });

  it('gets no subprotocol that the hub does not speak', async () => {
    const bytes = lines(
      'GET /room HTTP/1.1',
      'Host: hub',
      'Sec-WebSocket-Protocol: chat, mqtt',
      ...handshakeLines,
    );
    const text = await exchange(hub.port, bytes, /"connected"/);
    assert.doesNotMatch(text, /sec-websocket-protocol/i);
  });

  it('is refused with a query that is not valid', async () => {
    for (const query of [
      'echo=no',
      'echo=',
      'echo',
      'echo=FALSE',
      'ehco=false',
      'echo=false&echo=true',
      'x',
      '=',
    ]) {
      const answer = await upgrade(`/room?${query}`);
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_query'], query);
    }
    for (const query of ['', 'echo=true', 'echo=false&token=x', '&', 'token=']) {
      await (await connect(hub, `room?${query}`)).close();
    }
  });
});
