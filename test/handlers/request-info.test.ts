/** What handlers read of a handshake request, dry. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookiesOf, headersOf, queryOf } from '../../src/handlers/request-info.ts';

const plain = (texts: object) => ({ ...texts });

describe('cookiesOf', () => {
  it('decodes values, drops quotes, and takes the first of equal names', () => {
    const cookie = 'a=1; b = "two words" ;c=%C3%BC; d=100%; a=2; e; =f; g=x=y; __proto__=h';
    const cookies = cookiesOf({ headers: { cookie } });
    const wanted = { a: '1', b: 'two words', c: 'ü', d: '100%', '': 'f', g: 'x=y', ['__proto__']: 'h' };
    assert.deepEqual(plain(cookies), wanted);
    assert.deepEqual(plain(cookiesOf({ headers: {} })), {});
  });
});

describe('queryOf', () => {
  it('decodes parameters', () => {
    assert.deepEqual(plain(queryOf({ url: '/a?token=x%2Fy&echo=true&b', headers: {} })), {
      token: 'x/y',
      echo: 'true',
      b: '',
    });
    assert.deepEqual(plain(queryOf({ url: '/a', headers: {} })), {});
    assert.deepEqual(plain(queryOf({ headers: {} })), {});
  });
});

describe('headersOf', () => {
  it('has each header as one text', () => {
    const headers = { host: 'hub', 'set-cookie': ['a=1', 'b=2'], origin: undefined };
    assert.deepEqual(plain(headersOf({ headers })), { host: 'hub', 'set-cookie': 'a=1, b=2', origin: '' });
  });
});
