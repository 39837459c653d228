/** Reading and publishing a batch, dry: a body of 4 MiB leaves turns of the event loop to everything else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WorkerParts } from '../../src/admin/action.ts';
import { publishBatch } from '../../src/admin/actions/publish-batch.ts';
import { readBatch } from '../../src/admin/batch.ts';
import type { AppendOptions } from '../../src/hub.ts';
import { Counters } from '../../src/metrics/counters.ts';

const limits = { maxPayload: 65_536, channels: ['*'] };

describe('readBatch', () => {
  const deep = '['.repeat(400) + ']'.repeat(400);
  const item = `{"channel":"deep","data":${deep}}`;
  const names = Array.from({ length: 10_000 }, (_, n) => `${'x'.repeat(200)}${n}`);
  const huge = '['.repeat(1_500_000) + ']'.repeat(1_500_000);
  const bodies = {
    'a huge item': `[{"channel":"deep","data":${huge}}]`,
    'deep items': `[${Array.from({ length: 4_500 }, () => item).join(',')}]`,
    'an item for many channels': JSON.stringify([{ channels: names, data: 1 }]),
  };
  for (const [name, body] of Object.entries(bodies)) {
    it(`spends many turns of the event loop on ${name}`, async () => {
      let turns = 0;
      let isRead = false;
      const count = () => {
        turns += 1;
        if (!isRead) setImmediate(count);
      };
      setImmediate(count);
      const messages = await readBatch({ ...limits, body });
      isRead = true;
      assert.equal(messages.length, { 'a huge item': 1, 'deep items': 4_500 }[name] ?? names.length);
      assert.ok(turns >= 4, `${turns} turns`);
    });
  }

  it('does not parse data that is too big to be published', async () => {
    const data = '['.repeat(2_000_000) + ']'.repeat(2_000_000);
    const [message] = await readBatch({ ...limits, body: `[{"channel":"deep","data":${data}}]` });
    assert.ok(message instanceof Error);
    assert.equal(message.message, 'the message is larger than maxPayload');
  });
});

describe('publish_batch', () => {
  it('awaits every position, also if all earlier ones are known before the last message is published', async () => {
    let offset = 0;
    const hub = {
      optionsOf: () => ({ historySize: 1 }),
      isCongested: () => false,
      publish: (_channel: string, _publication: unknown, { placed }: AppendOptions) => {
        offset += 1;
        const result = { position: { epoch: 'e', offset }, duplicate: null };
        if (offset === 1) placed(result);
        else setImmediate(placed, result);
      },
    };
    const on = { hub, mesh: { queuedBytes: 0 }, counters: new Counters() } as unknown as WorkerParts;
    const body = JSON.stringify([{ channels: ['a', 'a', 'a'], data: 1 }]);
    assert.deepEqual(await publishBatch.call({ ...limits, body }).part(on), [
      { channel: 'a', epoch: 'e', offset: 1 },
      { channel: 'a', epoch: 'e', offset: 2 },
      { channel: 'a', epoch: 'e', offset: 3 },
    ]);
  });
});
