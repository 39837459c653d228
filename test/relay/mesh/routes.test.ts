/** Routes: which siblings listen to a channel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Routes } from '../../../src/relay/mesh/routes.ts';

function targets(routes: Routes<string>, name: string): string[] {
  return (routes.to(name) ?? []).map(({ sibling, channelId }) => `${sibling}${channelId}`).sort();
}

describe('Routes', () => {
  it('keep the previous interest until the new announcement is complete', () => {
    const routes = new Routes<string>();
    routes.add('a', 1, 'old');
    routes.add('a', 2, 'kept');
    routes.begin('a');
    assert.deepEqual(targets(routes, 'old'), ['a1']);
    routes.add('a', 2, 'kept');
    routes.add('a', 3, 'new');
    routes.complete('a');
    assert.deepEqual(targets(routes, 'old'), []);
    assert.deepEqual(targets(routes, 'kept'), ['a2']);
    assert.deepEqual(targets(routes, 'new'), ['a3']);
  });

  it('return the last reported member count of a sibling on a channel', () => {
    const routes = new Routes<string>();
    routes.add('a', 1, 'x');
    routes.setMembers('a', 1, 4);
    routes.setMembers('a', 99, 4);
    assert.equal(routes.to('x')?.[0]?.members, 4);
  });

  it('equal a plain model after any sequence of announcements', () => {
    const sibling = fc.constantFrom('a', 'b', 'c');
    const channel = fc.integer({ min: 1, max: 6 });
    const step = fc.oneof(
      fc.tuple(fc.constantFrom('add' as const, 'drop' as const), sibling, channel),
      fc.tuple(fc.constant('forget' as const), sibling, channel),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const routes = new Routes<string>();
        const model = new Set<string>();
        for (const [kind, from, id] of steps) {
          const key = `${from}${id}`;
          if (kind === 'add') {
            routes.add(from, id, `channel${id}`);
            model.add(key);
          } else if (kind === 'drop') {
            routes.drop(from, id);
            model.delete(key);
          } else {
            routes.forget(from);
            for (const one of [...model]) if (one.startsWith(from)) model.delete(one);
          }
        }
        for (const id of [1, 2, 3, 4, 5, 6]) {
          const wanted = [...model].filter((key) => key.endsWith(String(id))).sort();
          assert.deepEqual(targets(routes, `channel${id}`), wanted);
        }
      }),
    );
  });
});
