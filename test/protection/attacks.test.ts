/** Attacks over real sockets: nothing crashes, nothing leaks between channels, memory is flat, the log stays a log. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  codeOf,
  connect,
  eventually,
  handshake,
  openSocket,
  request,
  residentBytes,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';

const upgrade = ['Host: hub', ...Object.entries(handshake).map(([name, value]) => `${name}: ${value}`)].join(
  '\r\n',
);

/** A masked frame; the mask is zero, so the payload stands as it is. */
function frame(first: number, payload: Buffer): Buffer {
  const length =
    payload.length < 126
      ? Buffer.from([0x80 | payload.length])
      : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([first]), length, Buffer.alloc(4), payload]);
}

describe('an attacked hub', () => {
  let hub: HubProcess;
  let victims: [Client, Client];
  let pids: number[];

  before(async () => {
    hub = await startHub({ env: { WSHUB_MESSAGE_RATE: '0', WSHUB_BYTE_RATE: '0' } });
    victims = [await connect(hub, 'victim'), await connect(hub, 'victim')];
    pids = hub.workers.map(({ pid }) => pid);
  });

  after(async () => {
    // After all attacks: the same processes, and the victims' channel works and has seen nothing else.
    assert.deepEqual(
      hub.workers.map(({ pid }) => pid),
      pids,
    );
    assert.deepEqual([...victims[0].rest(), ...victims[1].rest()], []);
    victims[0].send('alive');
    assert.equal(await victims[1].next(), 'alive');
    assert.ok(hub.log.every(({ level }) => level !== 'error' && level !== 'fatal'));
    await hub.end();
  });

  it('refuses headers without end', async () => {
    const { socket, answer } = await openSocket(hub.port);
    socket.write(`GET /room HTTP/1.1\r\nX-Long: ${'a'.repeat(100_000)}`);
    assert.match(await answer, /^HTTP\/1\.1 431 .*"headers_too_large"/s);
  });

  it('does not speak deflate, and closes who does with 1002', async () => {
    const { socket, answer } = await openSocket(hub.port);
    socket.write(`GET /room HTTP/1.1\r\n${upgrade}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`);
    const bomb = Buffer.alloc(100, 0xff);
    socket.once('data', (chunk) => {
      assert.doesNotMatch(chunk.toString('latin1'), /permessage-deflate/i);
      socket.write(frame(0xc1, bomb)); // RSV1: compressed
    });
    assert.match(await answer, /"code":1002/);
  });

  it('bounds a message in fragments without end, large or empty', async () => {
    for (const [size, code] of [
      [10_000, 1009],
      [0, 1008],
    ] as const) {
      const { socket, answer } = await openSocket(hub.port);
      socket.write(`GET /room HTTP/1.1\r\n${upgrade}\r\n\r\n`);
      socket.once('data', () => {
        socket.write(frame(0x01, Buffer.alloc(size, 0x20)));
        const more = Buffer.concat(
          Array.from({ length: 1_000 }, () => frame(0x00, Buffer.alloc(size, 0x20))),
        );
        for (let i = 0; i < 20 && !socket.destroyed; i += 1) socket.write(more);
      });
      const text = await answer;
      assert.match(text, new RegExp(`"code":${code}`), `fragments of ${size} bytes`);
    }
  });

  it('keeps every channel name apart, however odd', async () => {
    const names = [
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'hasOwnProperty',
      'é', // one code point
      'e\u0301', // the same letter in two
      '\u202Eevil', // right to left
      '\uFEFF',
      '\u200B',
      'ﷺ'.repeat(80),
      '👩‍👩‍👧‍👦',
      'ᏔᎥ',
      '../../etc/passwd',
      '%2F',
      'a/b',
      'a%2Fb',
      ' ',
      "';DROP TABLE--",
      '${jndi:ldap://x}',
      '\\',
      '#',
      '?',
      'K', // Kelvin, which lower case makes a k
      'k',
      'ı',
      'ſ',
      's',
      'ｆｕｌｌ',
      'full',
      'ﬁ',
      'fi',
      '\uAC00',
      '\u1100\u1161', // the same syllable in two
      `Z${'\u0321\u0334\u0353'.repeat(20)}`,
      '\u2066isolated\u2069',
      '\u00AD',
      '\u00A0',
      '\u{E0041}',
      '\uFFFE',
      '\uFFFF',
      '\uFFFD',
      '\u{10FFFF}',
      '\uE000',
      '👍🏽',
      '👍',
      '🇩🇪',
      'בדיקה',
      '__defineGetter__',
      'valueOf',
    ];
    const clients = await Promise.all(names.map((name) => connect(hub, encodeURIComponent(name))));
    for (const [index, client] of clients.entries()) {
      assert.equal(client.channel, names[index]);
      client.send({ index });
    }
    for (const [index, client] of clients.entries()) assert.deepEqual(await client.next(), { index });
    for (const client of clients) assert.deepEqual(client.rest(), [], client.channel);
    for (const name of ['%00', '%0a', '%c3%28', '%ed%a0%80', '%7f', '%c2%85', '%', 'a'.repeat(256), '']) {
      const answer = await request(hub.port, 'GET', `/${name}`, { headers: handshake });
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_channel'], name);
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('relays prototype names and deep JSON as they are, and answers what is too deep', async () => {
    const [one, two] = [await connect(hub, 'json?echo=false'), await connect(hub, 'json')];
    const texts = [
      '{"__proto__":{"polluted":true},"type":"__proto__"}',
      '{"type":"constructor","constructor":{"prototype":{"polluted":true}}}',
      '{"type":"toString"}',
      `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
      `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
      '"\\ud800"',
      '1e999',
    ];
    for (const text of texts) one.ws.send(text);
    await eventually(
      () => (one.received.length + two.received.length >= texts.length ? true : undefined),
      'an answer or a delivery for each',
    );
    for (const text of two.received) assert.ok(texts.includes(text));
    for (const text of one.received) assert.match(text, /"bad_json"/);
    assert.ok(two.received.includes(texts[0] ?? ''));
    await Promise.all([one.close(), two.close()]);
  });

  it('is not led astray by paths on the admin routes', async () => {
    const paths = [
      '/delete/victim/../victim',
      '//delete/victim',
      '/delete//victim',
      '/./delete/victim',
      '/%64elete/victim',
      '/delete/victim%00',
      '/delete/victim?token=x',
      '/DELETE/victim',
      '/kill-connection/victim/x/y',
      '/channels/%2e%2e/victim',
    ];
    for (const path of paths) {
      const answer = await request(hub.port, 'DELETE', path);
      assert.ok([400, 401, 404, 405].includes(answer.status), `${path}: ${answer.status}`);
    }
    for (const authorization of ['Bearer', 'Bearer ', 'bearer null', 'Basic eDp5', `Bearer ${hub.token}x`]) {
      const answer = await request(hub.port, 'DELETE', '/delete/victim', { headers: { authorization } });
      assert.ok([401, 403].includes(answer.status), authorization);
    }
    assert.equal(victims[0].closed, undefined);
  });

  it('writes nothing into its log that a client has chosen but as JSON', async () => {
    const injected = '{"level":"fatal","msg":"injected"}';
    for (const text of ['x","level":"fatal","msg":"injected', `x\u2028${injected}`, `x\u2029${injected}`]) {
      const name = encodeURIComponent(text);
      const client = await connect(hub, name);
      await hub.admin('GET', `/channels/${name}`, { headers: { 'x-forwarded-for': 'evil' } });
      await client.close();
      await hub.logged('connection opened', { channel: text });
    }
    // Every line was parsed when it came; none has what was injected as a line of its own.
    assert.equal(
      hub.log.find(({ msg }) => msg === 'injected'),
      undefined,
    );
    assert.doesNotMatch(JSON.stringify(hub.log), /a-token-of-the-tests/);
  });

  it('takes as many connects as this machine can make, and its memory comes back', async (t) => {
    const rss = () => pids.map(residentBytes).reduce((sum, bytes) => sum + bytes, 0);
    const request = `GET /storm HTTP/1.1\r\n${upgrade}\r\n\r\n`;
    /** Opens, reads the first bytes, resets: over and over. */
    const storm = async (seconds: number): Promise<number> => {
      let connects = 0;
      const until = performance.now() + seconds * 1_000;
      const attacker = async () => {
        while (performance.now() < until) {
          const { socket } = await openSocket(hub.port);
          const first = new Promise<Buffer | string>((resolve) =>
            socket.once('data', resolve).once('close', () => {
              resolve('');
            }),
          );
          socket.write(request);
          assert.match((await first).toString('latin1'), /^HTTP\/1\.1 101 /);
          socket.resetAndDestroy();
          connects += 1;
        }
      };
      await Promise.all(Array.from({ length: 100 }, attacker));
      return connects;
    };
    await storm(1);
    const before = rss();
    const seconds = 3;
    const connects = await storm(seconds);
    t.diagnostic(`${connects} connects in ${seconds} s`);
    await eventually(async () => {
      const { body } = await hub.admin('GET', '/state');
      return (body as { totals: { connections: number } }).totals.connections === 2 ? true : undefined;
    }, 'the end of the storm');
    const growth = rss() - before;
    assert.ok(growth < 64 * 1024 * 1024, `${growth} bytes more`);
  });
});
