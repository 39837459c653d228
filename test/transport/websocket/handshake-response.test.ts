/** Handshakes: the example of RFC 6455 section 1.3, and requests that are none. */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, it } from 'node:test';
import { handshakeResponse, validHandshake } from '../../../src/transport/websocket/handshake-response.ts';

const headers = {
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

function check(more: IncomingHttpHeaders, method = 'GET') {
  return validHandshake({ method, headers: { ...headers, ...more } });
}

describe('a handshake', () => {
  it('is answered as in the example of the specification', () => {
    const accept = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', accept];
    const handshake = check({});
    assert.equal(handshakeResponse(handshake, null).toString(), [...head, '', ''].join('\r\n'));
    const lines = [...head, 'Sec-WebSocket-Protocol: bearer', '', ''];
    assert.equal(handshakeResponse(handshake, 'bearer').toString(), lines.join('\r\n'));
  });

  it('offers the subprotocols of its header, and none with an empty one', () => {
    const offered = (header: string) => [...check({ 'sec-websocket-protocol': header }).protocols];
    assert.deepEqual(offered('bearer, a.b-c_d'), ['bearer', 'a.b-c_d']);
    for (const empty of ['', ' ']) assert.deepEqual(offered(empty), []);
  });

  it('is refused if it is not valid', () => {
    const bad = { name: 'HubError', code: 'bad_request' };
    assert.throws(() => check({}, 'POST'), { ...bad, message: 'Invalid HTTP method' });
    assert.throws(() => check({ upgrade: 'h2c' }), bad);
    for (const key of [undefined, '', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZQ===']) {
      assert.throws(() => check({ 'sec-websocket-key': key }), bad, key);
    }
    for (const protocols of ['a,', 'a,,b', 'a, a', 'a b', 'ä']) {
      assert.throws(() => check({ 'sec-websocket-protocol': protocols }), bad, protocols);
    }
    for (const version of [undefined, '7', '13, 13']) {
      const wrong = { code: 'upgrade_required' };
      assert.throws(() => check({ 'sec-websocket-version': version }), wrong, version);
    }
  });
});
