/** Patterns of names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../src/admin/glob.ts';

describe('a pattern', () => {
  it('matches whole names', () => {
    for (const [name, pattern, wanted] of [
      ['news', 'news', true],
      ['news', 'new', false],
      ['news', 'newss', false],
      ['', '', true],
      ['', '*', true],
      ['news', 'n?w?', true],
      ['news', 'news?', false],
      ['news:1:2', '*:*', true],
      ['news:1:2', '*:2', true],
      ['news:1:2', 'news*3', false],
      ['a*b', 'a*b', true],
      ['aab', '*ab', true],
    ] as const) {
      assert.equal(matchesGlob(name, pattern), wanted, `${name} ${pattern}`);
    }
  });

  it('matches as the regular expression does', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(text, text, (name, pattern) => {
        const source = pattern.replaceAll(/[*?]/g, (sign) => (sign === '*' ? '.*' : '.'));
        assert.equal(matchesGlob(name, pattern), new RegExp(`^${source}$`).test(name));
      }),
    );
  });
});
