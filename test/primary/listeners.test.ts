import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { Listeners, type Acceptor } from '../../src/primary/listeners.ts';

/** A fake worker that records the sockets it is lent. */
class FakeWorker implements Acceptor {
  readonly slot: number;
  responsive = true;
  clients = 0;
  readonly has = new Set<number>();
  readonly quotas: [index: number, clients: number][] = [];

  constructor(slot: number) {
    this.slot = slot;
  }

  listen(index: number): Promise<void> {
    this.has.add(index);
    return Promise.resolve();
  }

  release(index: number): void {
    this.has.delete(index);
  }

  setQuota(index: number, clients: number): void {
    this.quotas.push([index, clients]);
  }
}

async function bound(t: { after: (done: () => void) => void }, slots: number): Promise<Listeners> {
  const listeners = await Listeners.bind('127.0.0.1', 0, slots);
  t.after(() => {
    listeners.close();
  });
  return listeners;
}

function lent(workers: readonly FakeWorker[]): number[][] {
  return workers.map(({ has }) => [...has].sort());
}

describe('the listening sockets', () => {
  it('are one for each slot, on one port, lent to the worker of the slot', async (t) => {
    const listeners = await bound(t, 2);
    const workers = [new FakeWorker(0), new FakeWorker(1)];
    await listeners.assign(workers);
    assert.ok(listeners.port > 0);
    assert.deepEqual(lent(workers), [[0], [1]]);
  });

  it('have a substitute worker while their worker is dead or silent, and only then', async (t) => {
    const listeners = await bound(t, 2);
    const [one, other, successor] = [new FakeWorker(0), new FakeWorker(1), new FakeWorker(1)];
    await listeners.assign([one, other]);
    await listeners.assign([one]);
    assert.deepEqual(lent([one]), [[0, 1]]);
    await listeners.assign([one, successor]);
    assert.deepEqual(lent([one, successor]), [[0], [1]]);
    one.responsive = false;
    await listeners.assign([one, successor]);
    assert.deepEqual(lent([one, successor]), [[0], [0, 1]]);
    one.responsive = true;
    await listeners.assign([one, successor]);
    assert.deepEqual(lent([one, successor]), [[0], [1]]);
  });

  it('are lent to the worker with fewer clients, until the numbers are even', async (t) => {
    const listeners = await bound(t, 2);
    const [one, other] = [new FakeWorker(0), new FakeWorker(1)];
    one.clients = 10;
    await listeners.assign([one, other]);
    assert.deepEqual(lent([one, other]), [[], [0, 1]]);
    assert.deepEqual(other.quotas, [[0, 5]]);
    listeners.reachedQuotas.add(0);
    await listeners.assign([one, other]);
    assert.deepEqual(lent([one, other]), [[0], [1]]);
  });

  it('are all used by fewer workers, and grow with more workers', async (t) => {
    const listeners = await bound(t, 3);
    const workers = [new FakeWorker(0), new FakeWorker(1)];
    await listeners.assign(workers);
    assert.deepEqual(lent(workers).flat().sort(), [0, 1, 2]);
    const more = [...workers, new FakeWorker(2), new FakeWorker(3)];
    listeners.resize(4);
    await listeners.assign(more);
    assert.deepEqual(lent(more), [[0], [1], [2], [3]]);
  });

  it('are refused if another process, or another hub, has the port', async (t) => {
    for (const reusePort of [false, true]) {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', reusePort }, resolve));
      t.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      await assert.rejects(
        Listeners.bind('127.0.0.1', port, 1),
        /WSHUB_PORT \d+ .*in use by another process/,
      );
    }
    await assert.rejects(Listeners.bind('192.0.2.1', 0, 1), /the address is not one of this machine/);
  });
});
