/** Valid channel names, and their decoding from a request target. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { channelOfTarget, isChannelName } from '../../src/channel/name.ts';

describe('isChannelName', () => {
  for (const name of ['a', 'a/b', '__proto__', 'привет', '🦊', 'x'.repeat(255), 'é'.repeat(127), ' ', '..']) {
    it(`takes ${JSON.stringify(name).slice(0, 20)}`, () => {
      assert.ok(isChannelName(name));
    });
  }
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128), 'a\nb', '\u0000', '\u007f', '\u0085', '\ud800']) {
    it(`refuses ${JSON.stringify(name).slice(0, 20)}`, () => {
      assert.equal(isChannelName(name), false);
    });
  }
});

describe('channelOfTarget', () => {
  it('decodes the path after the first slash and leaves the query out', () => {
    assert.equal(channelOfTarget('/room%201?echo=false'), 'room 1');
    assert.equal(channelOfTarget('/a/b%2Fc'), 'a/b/c');
  });

  it('returns null for targets without a path or name, or with broken percent sequences', () => {
    for (const target of ['', '/', '/?x', 'http://host/room', '*', '/%', '/%zz', '/%ff', '/%00']) {
      assert.equal(channelOfTarget(target), null, target);
    }
  });

  it('decodes every valid name that was encoded', () => {
    const name = fc.string({ unit: 'grapheme' }).filter(isChannelName);
    fc.assert(
      fc.property(name, (wanted) => {
        assert.equal(channelOfTarget(`/${encodeURIComponent(wanted)}`), wanted);
      }),
    );
  });
});
