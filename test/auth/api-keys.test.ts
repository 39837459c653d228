/** The caller behind an admin secret, and the channels that it may use. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { covers, digestOf, identifier } from '../../src/auth/api-keys.ts';
import type { ApiKey } from '../../src/config/api-keys-file.ts';

const secret = 'Zm9yIHRlc3RzIG9ubHk';
const good: ApiKey = {
  name: 'news',
  sha256: digestOf(secret).toString('hex'),
  scopes: ['read'],
  channels: ['a:*'],
};

describe('identifier', () => {
  it('identifies the admin token with all scopes, a key with its own scopes, and no other token', () => {
    const identify = identifier('token', [good]);
    assert.deepEqual(identify('token'), {
      key: undefined,
      scopes: ['publish', 'read', 'manage'],
      channels: ['*'],
    });
    assert.deepEqual(identify(secret), { key: 'news', scopes: ['read'], channels: ['a:*'] });
    for (const wrong of ['', 'toke', `${secret}x`, good.sha256, good.name])
      assert.equal(identify(wrong), null);
  });
});

describe('covers', () => {
  it('matches names exactly, and prefixes with a star', () => {
    assert.deepEqual(
      ['a', 'ab', 'b:', 'b:1', 'c'].map((channel) => covers(['a', 'b:*'], channel)),
      [true, false, true, true, false],
    );
    assert.equal(covers(['*'], 'anything'), true);
    assert.equal(covers([], 'anything'), false);
  });
});
