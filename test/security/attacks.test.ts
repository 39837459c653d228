/** Attacks over real sockets: nothing crashes, nothing leaks between channels, memory is flat, the log stays a log. */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { clientFrame } from '../client-frame.ts';
import { holdings, leavesNothing, watched } from '../fuzz/resources.ts';
import { counted, freshScrape, sum } from '../metrics/exposition.ts';
import {
  codeOf,
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

const upgrade = ['Host: hub', ...Object.entries(handshake).map(([name, value]) => `${name}: ${value}`)].join(
  '\r\n',
);

describe('an attacked hub', () => {
  let hub: HubProcess;
  let victims: [Client, Client];
  let pids: number[];

  /** Repeats the attack often enough that a leak would show. */
  function again(times: number, attack: () => Promise<void>): Promise<void> {
    return leavesNothing(hub, async () => {
      for (let done = 0; done < times; done += 10) await Promise.all(Array.from({ length: 10 }, attack));
    });
  }

  before(async () => {
    hub = await startHub({ env: watched });
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
    await again(200, async () => {
      const { socket, answer } = await openSocket(hub.port);
      socket.write(`GET /room HTTP/1.1\r\nX-Long: ${'a'.repeat(100_000)}`);
      assert.match(await answer, /^HTTP\/1\.1 431 .*"headers_too_large"/s);
    });
    await counted(hub, 'wshub_http_requests_total', 'code="431"');
  });

  it('does not support deflate, and closes a client that uses it with 1002', async () => {
    const bomb = deflateRawSync(Buffer.alloc(32 * 1024 * 1024)); // a thousandth of the inflated size
    await again(200, async () => {
      const { socket, answer } = await openSocket(hub.port);
      socket.write(
        `GET /room HTTP/1.1\r\n${upgrade}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`,
      );
      socket.once('data', (chunk) => {
        assert.doesNotMatch(chunk.toString('latin1'), /permessage-deflate/i);
        socket.write(clientFrame(0xc1, bomb)); // RSV1: compressed
      });
      assert.match(await answer, /"code":1002/);
    });
    await counted(hub, 'wshub_connections_closed_total', 'reason="protocol_error"');
  });

  it('bounds a message in fragments without end, large or empty', async () => {
    for (const [size, code] of [
      [10_000, 1009],
      [0, 1008],
    ] as const) {
      const more = Buffer.concat(
        Array.from({ length: 1_000 }, () => clientFrame(0x00, Buffer.alloc(size, 0x20))),
      );
      await again(20, async () => {
        const { socket, answer } = await openSocket(hub.port);
        socket.write(`GET /room HTTP/1.1\r\n${upgrade}\r\n\r\n`);
        socket.once('data', () => {
          socket.write(clientFrame(0x01, Buffer.alloc(size, 0x20)));
          socket.write(more);
          socket.write(more);
        });
        assert.match(await answer, new RegExp(`"code":${code}`), `fragments of ${size} bytes`);
      });
    }
    await counted(hub, 'wshub_connections_closed_total', 'reason="message_too_big"');
    await counted(hub, 'wshub_connections_closed_total', 'reason="policy_violation"');
    await counted(hub, 'wshub_message_errors_total', 'reason="too_many_pieces"');
  });

  it('bounds a message in fragments with pongs between them also while its sender is being closed', async (t) => {
    const closing = await hubFor(t, { workers: 1, env: { ...watched, WSHUB_CLOSE_TIMEOUT_MS: '9000' } });
    const before = await holdings(closing);
    const padding = Buffer.concat(Array.from({ length: 499 }, () => clientFrame(0x8a, Buffer.alloc(125))));
    const senders = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = createConnection({ port: closing.port, host: '127.0.0.1', allowHalfOpen: true });
        socket.on('error', () => undefined);
        socket.write(`GET /room HTTP/1.1\r\n${upgrade}\r\n\r\n`);
        await new Promise((resolve) => socket.on('data', resolve));
        return socket;
      }),
    );
    await closing.admin('DELETE', '/delete/room');
    for (let piece = 0; piece < 60; piece += 1) {
      const bytes = Buffer.concat([clientFrame(piece === 0 ? 0x01 : 0x00, Buffer.from('x')), padding]);
      for (const sender of senders) sender.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 5)); // so that the hub reads each apart
    }
    const growth = (await holdings(closing)).workers.memoryBytes - before.workers.memoryBytes;
    for (const sender of senders) sender.destroy();
    assert.ok(growth < 5 * 1024 * 1024, `${growth} bytes more`);
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
    const attack = async () => {
      const clients = await Promise.all(names.map((name) => connect(hub, encodeURIComponent(name))));
      for (const [index, client] of clients.entries()) {
        assert.equal(client.channel, names[index]);
        client.send({ index });
      }
      for (const [index, client] of clients.entries()) assert.deepEqual(await client.next(), { index });
      for (const client of clients) assert.deepEqual(client.rest(), [], client.channel);
      await Promise.all(clients.map((client) => client.close()));
    };
    await leavesNothing(hub, async () => {
      for (let round = 0; round < 10; round += 1) await attack();
    });
    for (const name of ['%00', '%0a', '%c3%28', '%ed%a0%80', '%7f', '%c2%85', '%', 'a'.repeat(256), '']) {
      const answer = await request(hub.port, 'GET', `/${name}`, { headers: handshake });
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_channel'], name);
    }
  });

  it('relays a message whose type is the name of a prototype member', async () => {
    const types = [...Object.getOwnPropertyNames(Object.prototype), 'prototype', 'then'];
    for (const type of ['__proto__', 'constructor', 'hasOwnProperty', 'toString'])
      assert.ok(types.includes(type));
    const [one, two] = [await connect(hub, 'types?echo=false'), await connect(hub, 'types')];
    const { samples: before } = await freshScrape(hub);
    let sent = 0;
    await leavesNothing(hub, async () => {
      for (let round = 0; round < 50; round += 1) {
        for (const type of types) one.send({ type, sent: sent++ });
        const from = sent - types.length;
        assert.deepEqual(
          await two.take(types.length),
          types.map((type, n) => ({ type, sent: from + n })),
        );
      }
    });
    assert.deepEqual([...one.rest(), ...two.rest()], []);
    // The result of a function would have been published as a handler's, and its error would have been answered.
    const { samples: after } = await freshScrape(hub);
    const grown = (name: string, label: string) => sum(after, name, label) - sum(before, name, label);
    assert.equal(grown('wshub_messages_delivered_total', ''), sent);
    assert.equal(grown('wshub_messages_received_total', 'source="handler"'), 0);
    assert.equal(grown('wshub_message_errors_total', 'reason="handler_failed"'), 0);
    await Promise.all([one.close(), two.close()]);
  });

  it('relays prototype names and deep JSON unchanged, and answers messages that are too deep', async () => {
    const [one, two] = [await connect(hub, 'json?echo=false'), await connect(hub, 'json')];
    const texts = [
      '{"__proto__":{"polluted":true},"type":"__proto__"}',
      '{"type":"constructor","constructor":{"prototype":{"polluted":true}}}',
      `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
      `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
      '"\\ud800"',
      '1e999',
    ];
    let sent = 0;
    await leavesNothing(hub, async () => {
      for (let round = 0; round < 20; round += 1) for (const text of texts) one.ws.send(text);
      sent += 20 * texts.length;
      await eventually(
        () => (one.received.length + two.received.length >= sent ? true : undefined),
        'an answer or a delivery for each',
      );
    });
    for (const text of two.received) assert.ok(texts.includes(text));
    for (const text of one.received) assert.match(text, /"bad_json"/);
    assert.ok(two.received.includes(texts[0] ?? ''));
    await Promise.all([one.close(), two.close()]);
  });

  it('forgets wrong admin tokens, whatever they look like', async () => {
    await again(1_000, async () => {
      const authorization = `Bearer ${Math.random()}${'x'.repeat(4_000)}`;
      const answer = await request(hub.port, 'GET', '/state', { headers: { authorization } });
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'forbidden']);
    });
    await counted(hub, 'wshub_http_requests_total', 'code="403"', 'route="/state"');
  });

  it('refuses pages of other sites', async () => {
    await again(500, async () => {
      const headers = { ...handshake, origin: `https://${Math.random()}.evil.example` };
      const answer = await request(hub.port, 'GET', '/victim', { headers });
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'origin_not_allowed']);
    });
    await counted(hub, 'wshub_connections_rejected_total', 'reason="origin_not_allowed"');
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
    await again(100, async () => {
      for (const path of paths) {
        const answer = await request(hub.port, 'DELETE', path);
        assert.ok([400, 401, 404, 405].includes(answer.status), `${path}: ${answer.status}`);
      }
    });
    for (const authorization of ['Bearer', 'Bearer ', 'bearer null', 'Basic eDp5', `Bearer ${hub.token}x`]) {
      const answer = await request(hub.port, 'DELETE', '/delete/victim', { headers: { authorization } });
      assert.ok([401, 403].includes(answer.status), authorization);
    }
    assert.equal(victims[0].closed, undefined);
  });

  it('writes texts of clients into its log only as JSON', async () => {
    const injected = '{"level":"fatal","msg":"injected"}';
    const names = ['x","level":"fatal","msg":"injected', `x\u2028${injected}`, `x\u2029${injected}`];
    await leavesNothing(hub, async () => {
      for (const text of Array.from({ length: 50 }, () => names).flat()) {
        const name = encodeURIComponent(text);
        const client = await connect(hub, name);
        await hub.admin('GET', `/channels/${name}`, { headers: { 'x-forwarded-for': 'evil' } });
        await client.close();
        await hub.logged('connection opened', { channel: text });
      }
    });
    // Every line was parsed on arrival; none is an injected line.
    assert.equal(
      hub.log.find(({ msg }) => msg === 'injected'),
      undefined,
    );
    assert.doesNotMatch(JSON.stringify(hub.log), /a-token-of-the-tests/);
  });

  it('survives handshakes that are reset right after the answer', async (t) => {
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
    let connects = 0;
    const seconds = 2;
    await leavesNothing(hub, async () => (connects = await storm(seconds)));
    t.diagnostic(`${connects} connects in ${seconds} s`);
    await counted(hub, 'wshub_connections_closed_total', 'reason="abnormal"');
  });
});
