/** What claims grant. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allows, ClaimsError, grantOf as grantAt, type Grant } from '../../src/auth/grant.ts';

const both = ['subscribe', 'publish'];

const lenient = { leeway: 30, maxTtl: Infinity };
const grantOf = (claims: Readonly<Record<string, unknown>>): Grant => grantAt(claims, 0, lenient);

describe('grantOf', () => {
  it('grants nothing without the claim "channels"', () => {
    assert.equal(allows(grantOf({ sub: 'anna' }), 'subscribe', 'room'), false);
  });

  it('reads the end from exp', () => {
    assert.equal(grantOf({ exp: 12 }).expiresAt, 12);
    assert.equal(grantOf({}).expiresAt, Infinity);
  });

  it('adds the leeway to an end that has passed, and to no other', () => {
    assert.equal(grantAt({ exp: 100 }, 99.9, lenient).expiresAt, 100);
    assert.equal(grantAt({ exp: 100 }, 100, lenient).expiresAt, 130);
    assert.equal(grantAt({ exp: 100 }, 129, lenient).expiresAt, 130);
  });

  it('refuses an end that is too far away or missing, if there is a limit', () => {
    const bounded = { leeway: 30, maxTtl: 60 };
    assert.equal(grantAt({ exp: 160 }, 100, bounded).expiresAt, 160);
    assert.throws(() => grantAt({ exp: 161 }, 100, bounded), ClaimsError);
    assert.throws(() => grantAt({}, 100, bounded), ClaimsError);
  });

  it('reads the user from sub', () => {
    assert.equal(grantOf({ sub: 'anna' }).user, 'anna');
    for (const sub of [undefined, 7, ['anna']]) assert.equal(grantOf({ sub }).user, null);
  });

  it('refuses claims of another form', () => {
    const wrong: unknown[] = [
      'room',
      [null],
      [{ name: 'room' }],
      [{ name: 7, can: both }],
      [{ name: 'room', can: 'subscribe' }],
      [{ name: 'room', can: [1] }],
      [{ name: 'a*b', can: both }],
      [{ name: '**', can: both }],
    ];
    for (const channels of wrong) assert.throws(() => grantOf({ channels }), ClaimsError);
  });
});

describe('a name in the claim channels', () => {
  it('may be subscribed, as it is, and is a server-side channel', () => {
    const grant = grantOf({ channels: ['room:*', { name: 'other', can: both }] });
    assert.deepEqual(grant.serverChannels, ['room:*']);
    assert.equal(allows(grant, 'subscribe', 'room:*'), true);
    assert.equal(allows(grant, 'publish', 'room:*'), false);
    assert.equal(allows(grant, 'subscribe', 'room:1'), false);
  });
});

describe('allows', () => {
  it('distinguishes subscribe and publish', () => {
    const grant = grantOf({ channels: [{ name: 'room', can: ['subscribe'] }] });
    assert.equal(allows(grant, 'subscribe', 'room'), true);
    assert.equal(allows(grant, 'publish', 'room'), false);
  });

  it('matches exactly without a star, and by the prefix with one, for any name', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (name, other) => {
        fc.pre(!name.includes('*'));
        const exact = grantOf({ channels: [{ name, can: both }] });
        const prefix = grantOf({ channels: [{ name: `${name}*`, can: both }] });
        assert.equal(allows(exact, 'subscribe', other), other === name);
        assert.equal(allows(prefix, 'publish', other), other.startsWith(name));
        assert.equal(allows(prefix, 'publish', name + other), true);
      }),
    );
  });

  it('grants nothing for names of prototype members', () => {
    const grant = grantOf({ channels: [{ name: 'room', can: ['__proto__', 'constructor'] }] });
    for (const channel of ['__proto__', 'constructor', 'toString', 'room']) {
      assert.equal(allows(grant, 'subscribe', channel), false);
    }
  });
});
