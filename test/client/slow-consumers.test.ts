/** When a slow client is closed or skipped, on a time of the test's own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SlowConsumers, type SlowConsumer } from '../../src/client/slow-consumers.ts';

const limits = { outboxSoftBytes: 100, outboxMaxBytes: 1_000, outboxSoftMs: 10_000 };

class Fake implements SlowConsumer {
  bufferedBytes = 0;
  slowSince = 0;
  skipped = -1;
  mustGetAll = false;
  replayBytes = 0;
  closed: string | undefined;
  caughtUp(): void {
    this.skipped = -1;
  }
  close(reason: string): void {
    this.closed = reason;
  }
}

describe('SlowConsumers', () => {
  it('closes a client above the hard limit at once', () => {
    const slow = new SlowConsumers<Fake>({ ...limits, slowPolicy: 'disconnect' });
    const client = new Fake();
    client.bufferedBytes = 1_001;
    slow.report(client, 5);
    assert.equal(client.closed, 'slow_consumer');
    assert.equal(slow.size, 0);
  });

  it('gives a client the time of the soft limit for the history that it has requested', () => {
    const slow = new SlowConsumers<Fake>({ ...limits, slowPolicy: 'disconnect' });
    const [reads, stalls] = [new Fake(), new Fake()];
    for (const client of [reads, stalls]) {
      client.bufferedBytes = client.replayBytes = 5_000;
      slow.report(client, 5);
      assert.equal(client.closed, undefined);
    }
    reads.bufferedBytes = 0;
    slow.sweep(10_005);
    assert.deepEqual([reads.closed, stalls.closed], [undefined, 'slow_consumer']);
    reads.bufferedBytes = 5_000;
    slow.report(reads, 10_006);
    assert.equal(reads.closed, 'slow_consumer', 'the allowance is for one replay');
  });

  it('closes a limited number of clients per sweep', () => {
    const slow = new SlowConsumers<Fake>({ ...limits, slowPolicy: 'disconnect' });
    const clients = Array.from({ length: 250 }, () => new Fake());
    for (const client of clients) {
      client.bufferedBytes = 200;
      slow.report(client, 5);
    }
    const closed = [1, 2, 3].map(() => {
      slow.sweep(10_005);
      return clients.filter((client) => client.closed === 'slow_consumer').length;
    });
    assert.deepEqual(closed, [100, 200, 250]);
  });

  it('closes a client above the soft limit for too long, with or without new writes', () => {
    const slow = new SlowConsumers<Fake>({ ...limits, slowPolicy: 'disconnect' });
    const [stalled, caught] = [new Fake(), new Fake()];
    for (const client of [stalled, caught]) {
      client.bufferedBytes = 200;
      slow.report(client, 5);
    }
    caught.bufferedBytes = 50;
    slow.sweep(9_000);
    caught.bufferedBytes = 200;
    slow.report(caught, 9_500);
    slow.sweep(10_004);
    assert.equal(stalled.closed, undefined);
    slow.sweep(10_005);
    assert.equal(stalled.closed, 'slow_consumer');
    assert.equal(caught.closed, undefined);
    assert.equal(slow.size, 1);
    slow.forget(caught);
    assert.equal(slow.size, 0);
  });

  it('skips a client until it has caught up, if the policy is to skip', () => {
    const slow = new SlowConsumers<Fake>({ ...limits, slowPolicy: 'skip' });
    const client = new Fake();
    client.bufferedBytes = 2_000;
    slow.report(client, 5);
    assert.equal(client.skipped, 0);
    client.skipped = 7;
    slow.sweep(20_000);
    assert.equal(client.skipped, 7);
    client.bufferedBytes = 100;
    slow.sweep(30_000);
    assert.equal(client.skipped, -1);
    assert.equal(client.closed, undefined);
  });
});
