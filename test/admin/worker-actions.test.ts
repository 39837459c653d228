import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { execute, type WorkerParts } from '../../src/admin/worker-actions.ts';

describe('list_channels', () => {
  it('gives the first names in order, in whatever order the channels were opened', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 40 });
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 20 }), (opened, limit) => {
        const channels = () => opened.map((name) => ({ name, members: new Set([name]) })).values();
        const parts = { hub: { registry: { channels } } } as unknown as WorkerParts;
        const wanted = opened.toSorted((a, b) => (a < b ? -1 : 1)).slice(0, limit);
        assert.deepEqual(execute(parts, 'list_channels', { prefix: '', limit }), {
          channels: wanted.map((channel) => ({ channel, connections: 1 })),
          truncated: opened.length > limit,
        });
      }),
    );
  });
});
