/** Where a token is found in a handshake. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answeredProtocol, tokenOf } from '../../src/auth/token-source.ts';

describe('tokenOf', () => {
  it('finds the token in each place, the header first', () => {
    const headers = { authorization: 'Bearer a.b.c', 'sec-websocket-protocol': 'bearer, d.e.f' };
    const url = '/room?echo=false&token=g.h.i';
    assert.equal(tokenOf({ headers, url }), 'a.b.c');
    assert.equal(
      tokenOf({ headers: { 'sec-websocket-protocol': headers['sec-websocket-protocol'] }, url }),
      'd.e.f',
    );
    assert.equal(tokenOf({ headers: {}, url }), 'g.h.i');
  });

  it('finds none in a request without a token', () => {
    assert.equal(tokenOf({ headers: {}, url: '/room' }), null);
    assert.equal(tokenOf({ headers: { authorization: 'Basic YTpi' }, url: '/room?echo=false' }), null);
    assert.equal(tokenOf({ headers: { 'sec-websocket-protocol': 'bearer' }, url: '/' }), null);
    assert.equal(tokenOf({ headers: { 'sec-websocket-protocol': 'chat' }, url: '/' }), null);
  });
});

describe('answeredProtocol', () => {
  it('answers with bearer, never with the token beside it', () => {
    assert.equal(answeredProtocol(new Set(['bearer', 'a.b.c'])), 'bearer');
    assert.equal(answeredProtocol(new Set(['a.b.c', 'bearer'])), 'bearer');
  });

  it('accepts no other', () => {
    assert.equal(answeredProtocol(new Set(['chat', 'superchat'])), null);
    assert.equal(answeredProtocol(new Set()), null);
  });
});
