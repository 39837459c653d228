import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { firstItems, mergePages, type Page } from '../../src/admin/pages.ts';

const name = fc.string({ minLength: 1, maxLength: 3 });
const limits = fc.integer({ min: 1, max: 20 });
const same = (text: string) => text;
const byName = (a: string, b: string) => (a < b ? -1 : 1);

describe('firstItems', () => {
  it('returns the first matching names after `after` in order, for any order of input', async () => {
    const names = fc.uniqueArray(name, { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(names, limits, fc.string({ maxLength: 2 }), async (items, limit, after) => {
        const wanted = items.filter((item) => item > after && item !== 'no').sort(byName);
        const { items: first, through } = await firstItems(items, (item) => (item === 'no' ? null : item), {
          after,
          limit,
        });
        assert.deepEqual(first, wanted.slice(0, limit));
        assert.equal(through, wanted.length > limit ? first.at(-1) : null);
      }),
    );
  });
});

describe('mergePages', () => {
  it('returns all names of all workers over the pages, each once and in order', async () => {
    const workers = fc.array(fc.uniqueArray(name, { maxLength: 30 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(workers, limits, async (lists, limit) => {
        const seen: string[] = [];
        let page: Page<string>;
        let after = '';
        do {
          const parts = await Promise.all(lists.map((items) => firstItems(items, same, { after, limit })));
          const names = [...new Set(parts.flatMap(({ items }) => items))];
          const throughs = parts.map(({ through }) => through);
          page = mergePages(names, throughs, same, limit);
          assert.equal(page.truncated, page.next !== undefined);
          seen.push(...page.items);
          after = page.next ?? '';
        } while (page.next !== undefined);
        assert.deepEqual(seen, [...new Set(lists.flat())].sort(byName));
      }),
    );
  });

  it('omits the names after the first one at which a worker stopped', () => {
    // The worker that stopped at "b" has lost "b" since, and may have "c".
    const page = mergePages(['a', 'd'], ['b', null], same, 2);
    assert.deepEqual(page, { items: ['a'], truncated: true, next: 'b' });
  });
});
