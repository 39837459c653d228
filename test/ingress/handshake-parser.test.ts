import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { upgradeRequest } from '../../src/ingress/handshake-parser.ts';

const socket = new Socket();
const good = [
  'Host: hub.example',
  'Upgrade: websocket',
  'Connection: keep-alive, Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

function handshake(headers: readonly string[], line = 'GET /room1?echo=false HTTP/1.1'): string {
  return [line, ...headers, '', ''].join('\r\n');
}

/** What node:http makes of these bytes: the upgrade request and what stands behind it, or null. */
function byNode(bytes: Buffer): Promise<{ request: IncomingMessage; head: Buffer } | null> {
  return new Promise((resolve) => {
    const server = createServer();
    const peer = new PassThrough();
    const end = () => {
      resolve(null);
    };
    server.on('upgrade', (request, _socket, head) => {
      resolve({ request, head });
    });
    server.on('request', end);
    server.on('clientError', end);
    server.on('checkContinue', end);
    server.emit('listening');
    server.emit('connection', peer);
    peer.write(bytes);
    setImmediate(() => setImmediate(() => setImmediate(end)));
  });
}

describe('upgradeRequest', () => {
  it('reads a handshake and its length', () => {
    const bytes = Buffer.from(`${handshake(good)}behind`);
    const found = upgradeRequest(bytes, socket);
    assert.equal(found?.request.url, '/room1?echo=false');
    assert.equal(found.request.headers['sec-websocket-version'], '13');
    assert.equal(bytes.toString('latin1', found.length), 'behind');
  });

  it('leaves incomplete, unusual and other requests to node:http', () => {
    const others = [
      handshake(good).slice(0, -1),
      handshake(good).slice(0, -30),
      handshake(good, 'GET /room1 HTTP/1.0'),
      handshake(good, 'POST /room1 HTTP/1.1'),
      handshake(good, 'GET http://hub.example/room1 HTTP/1.1'),
      handshake(good, 'GET /a b HTTP/1.1'),
      handshake(good.slice(1)),
      handshake(good.filter((header) => !header.startsWith('Upgrade'))),
      handshake(good.filter((header) => !header.startsWith('Connection'))),
      handshake([...good, 'Upgrade: h2c']),
      handshake([...good, 'Content-Length: 5']),
      handshake([...good, 'Transfer-Encoding: chunked']),
      handshake([...good, 'Expect: 100-continue']),
      handshake([...good, '__proto__: x']),
      handshake([...good, 'constructor: x']),
      handshake([...good, 'Folded: a\r\n b']),
      handshake([...good, 'Name : with space']),
      handshake([...good, 'Latin: \u00e9']),
      handshake([...good, `Long: ${'x'.repeat(5000)}`]),
      handshake(good).replaceAll('\r\n', '\n'),
    ];
    for (const text of others) assert.equal(upgradeRequest(Buffer.from(text, 'latin1'), socket), null, text);
  });

  it('accepts no request that node:http reads differently', async () => {
    const name = fc.constantFrom(
      'Host',
      'upgrade',
      'Connection',
      'Sec-WebSocket-Key',
      'Cookie',
      'X',
      'Origin',
      'a b',
      '',
    );
    const value = fc.oneof(
      fc.constantFrom(
        'websocket',
        'Upgrade',
        'upgrade, close',
        'h2c',
        'keep-alive',
        '',
        ' \t x \t',
        'a, b',
        '"q"',
      ),
      fc.string({ maxLength: 12 }),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const separator = fc.constantFrom(': ', ':', ':\t', ' : ', '');
    const header = fc.tuple(name, separator, value).map((parts) => parts.join(''));
    const line = fc.constantFrom(
      ...[
        'GET /a?b HTTP/1.1',
        'GET / HTTP/1.1',
        'GET /\u00e9 HTTP/1.1',
        'GET  / HTTP/1.1',
        'get / HTTP/1.1',
        'GET * HTTP/1.1',
      ],
    );
    const tail = fc.constantFrom('', 'x', '\x81\x00', '\r\n');
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        line,
        fc.array(header, { maxLength: 3 }),
        fc.nat(5),
        tail,
        async (start, more, at, behind) => {
          const headers = good.toSpliced(at, 0, ...more);
          const bytes = Buffer.from(handshake(headers, start) + behind, 'latin1');
          const found = upgradeRequest(bytes, socket);
          if (!found) return;
          taken += 1;
          const node = await byNode(bytes);
          assert.ok(node, 'node:http refuses it');
          assert.equal(found.request.url, node.request.url);
          assert.deepEqual({ ...found.request.headers }, { ...node.request.headers });
          assert.deepEqual(bytes.subarray(found.length), Buffer.from(node.head));
        },
      ),
      { numRuns: 2_000 },
    );
    assert.ok(taken > 100, `${taken} of 2 000 were taken`);
  });
});
