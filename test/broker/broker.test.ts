/** The broker process. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { TestBroker } from '../relay/broker-link/brokers.ts';

describe('a broker', () => {
  it(
    'ends when its primary dies while it starts, and releases the state directory',
    { timeout: 60_000 },
    async (t) => {
      const broker = new TestBroker(t);
      const orphan = broker.launch();
      const ended = once(orphan, 'exit');
      orphan.disconnect(); // follows the order to start
      assert.deepEqual(await ended, [1, null]);
      await broker.start(); // the same directory
    },
  );
});
