/** A worker's drain without sockets: notices, the order of closes, and the wait for slow clients. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DrainOrder } from '../../src/ipc/messages.ts';
import type { ReconnectDelay } from '../../src/protocol/protocol.ts';
import { Drain, type Drainable } from '../../src/worker/drain.ts';

const order: DrainOrder = {
  reason: 'restarting',
  spreadMs: 1_000,
  budgetMs: 10_000,
  closeTimeoutMs: 500,
  reconnect: { minMs: 100, maxMs: 200 },
};

/** A connection that answers a close at once, unless `deaf`. */
class FakeConnection implements Drainable {
  state: Drainable['state'] = 'open';
  bufferedBytes = 0;
  paused = false;
  deaf = false;
  readonly told: string[] = [];
  closedWith: string | undefined;
  terminated = false;
  readonly #set: Set<FakeConnection>;

  constructor(set: Set<FakeConnection>) {
    this.#set = set;
    set.add(this);
  }

  draining({ minMs, maxMs }: ReconnectDelay): void {
    this.told.push(`draining ${minMs} ${maxMs}`);
  }

  close(reason: string, detail?: string): void {
    assert.equal(this.state, 'open');
    this.state = 'closing';
    this.closedWith = `${reason} ${detail}`;
    if (!this.deaf) this.#gone();
  }

  terminate(): void {
    this.terminated = true;
    this.#gone();
  }

  #gone(): void {
    this.state = 'closed';
    this.#set.delete(this);
  }
}

function drainOf(count: number) {
  const set = new Set<FakeConnection>();
  const connections = Array.from({ length: count }, () => new FakeConnection(set));
  return { set, connections, drain: new Drain(set, order, 0) };
}

describe('Drain', () => {
  it('notifies all clients first, then closes them in slices, each with its own reconnect time', async () => {
    const { set, connections, drain } = drainOf(100);
    await drain.step(0);
    for (const { told } of connections) assert.deepEqual(told, ['draining 100 200']);
    for (let now = 100; set.size > 0; now += 100) await drain.step(now);
    assert.equal(drain.report.closed, 100);
    assert.equal(drain.report.largestSlice, 10);
    const retries = connections.map(
      ({ closedWith }) => /^restarting retry=(\d+)$/.exec(closedWith ?? '')?.[1],
    );
    for (const retry of retries) assert.ok(Number(retry) >= 100 && Number(retry) <= 200, retry);
    assert.ok(new Set(retries).size > 20, 'the times are random');
  });

  it('closes clients in random order', async () => {
    const { connections, drain } = drainOf(100);
    await drain.step(0);
    const first = connections.flatMap(({ state }, index) => (state === 'closed' ? [index] : []));
    assert.notDeepEqual(first, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('gives a client with unsent bytes one second, and no longer', async () => {
    const { connections, drain } = drainOf(2);
    for (const connection of connections) connection.bufferedBytes = 10;
    await drain.step(0);
    const [one, other] = connections as [FakeConnection, FakeConnection];
    one.bufferedBytes = 0;
    await drain.step(600);
    assert.deepEqual([one.state, other.state], ['closed', 'open']);
    await drain.step(1_100);
    await drain.step(1_700);
    assert.equal(other.state, 'closed');
  });

  it('drops and counts a client that does not answer its close frame', async () => {
    const { connections, drain, set } = drainOf(1);
    const [connection] = connections as [FakeConnection];
    connection.deaf = true;
    await drain.step(0);
    await drain.step(300);
    assert.equal(connection.terminated, false);
    await drain.step(400);
    assert.equal(connection.terminated, true);
    assert.equal(drain.report.forced, 1);
    assert.equal(set.size, 0);
  });

  it('finds a client that connected during the drain', async () => {
    const { set, drain } = drainOf(1);
    await drain.step(0);
    const late = new FakeConnection(set);
    await drain.step(1_000);
    assert.equal(late.state, 'closed');
    assert.equal(late.told.length, 1);
  });

  it('follows a second order', async () => {
    const { connections, drain } = drainOf(50);
    await drain.step(0);
    drain.follow({ ...order, reason: 'going_away', spreadMs: 0 }, 50);
    await drain.step(100);
    const reasons = connections.map(({ closedWith }) => closedWith?.split(' ')[0]);
    assert.equal(reasons.filter((reason) => reason === 'restarting').length, 5);
    assert.equal(reasons.filter((reason) => reason === 'going_away').length, 45);
  });
});
