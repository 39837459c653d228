/**
 * A worker killed every two seconds under load, for KILL_SECONDS (6 in `npm test`, 60 for the whole minute): the clients
 * of the others lose, double and reorder nothing, counters only grow, and the others come back to the memory they had.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { growing, scrape } from '../metrics/exposition.ts';
import { connect, connectWhere, hubFor, type Client, type HubProcess } from '../support.ts';

const seconds = Number(process.env['KILL_SECONDS'] ?? 6);
const killEveryMs = 2_000;
const pairs = 5;
const messageEveryMs = 10;

/** Numbered messages one way, from a worker to another; `check` reports lost, doubled and reordered ones. */
class Talk {
  readonly #from: Client;
  readonly #to: Client;
  readonly #timer: NodeJS.Timeout;
  #sent = 0;

  constructor(from: Client, to: Client) {
    this.#from = from;
    this.#to = to;
    this.#timer = setInterval(() => {
      from.send(this.#sent++);
    }, messageEveryMs);
  }

  async end(): Promise<number> {
    clearInterval(this.#timer);
    const got = await this.#to.take(this.#sent);
    assert.deepEqual(
      got,
      Array.from({ length: this.#sent }, (_, n) => n),
    );
    assert.deepEqual(this.#to.rest(), []);
    await Promise.all([this.#from.close(), this.#to.close()]);
    return this.#sent;
  }
}

/** Clients on all workers, so that the killed one has some; they reconnect. */
async function crowd(hub: HubProcess, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const client = await connect(hub, `pair-${Math.floor(Math.random() * pairs)}?echo=false`).catch(
      () => undefined,
    );
    await Promise.race([client?.end(), sleep(500)]);
    client?.ws.terminate();
  }
}

describe(`a worker killed every ${killEveryMs / 1000} s for ${seconds} s under load`, () => {
  it('affects no client of other workers, and leaks nothing', async (t) => {
    const hub = await hubFor(t, { workers: 3, env: watched });
    const [one, other, victim] = hub.workers.map(({ workerId }) => workerId);
    assert.ok(one !== undefined && other !== undefined && victim !== undefined);
    const on = (path: string, workerId: string) => connectWhere(hub, path, (id) => id === workerId);
    const talks: Talk[] = [];
    for (let n = 0; n < pairs; n += 1) {
      const [from, to] = n % 2 === 0 ? [one, other] : [other, one];
      talks.push(new Talk(await on(`pair-${n}?echo=false`, from), await on(`pair-${n}`, to)));
    }
    await sleep(1_000); // warm-up: compiled and cached code is not a leak
    const held = await holdings(hub);

    const until = performance.now() + seconds * 1_000;
    const isOver = () => performance.now() >= until;
    const crowds = Array.from({ length: 10 }, () => crowd(hub, isOver));
    let counters = growing((await scrape(hub)).samples);
    let kills = 0;
    while (!isOver()) {
      await sleep(killEveryMs);
      const target = hub.workers.find(({ workerId }) => workerId !== one && workerId !== other);
      const died = hub.log.some(
        ({ msg, workerId }) => msg === 'worker died' && workerId === target?.workerId,
      );
      if (target && !died) {
        process.kill(target.pid, 'SIGKILL');
        kills += 1;
        await hub.logged('worker died', { workerId: target.workerId });
      }
      const now = growing((await scrape(hub)).samples);
      for (const [series, value] of counters) {
        assert.ok(
          (now.get(series) ?? 0) >= value - 1e-9,
          `${series} fell from ${value} to ${now.get(series)}`,
        );
      }
      counters = now;
    }
    assert.ok(kills > 0);
    await Promise.all(crowds);
    let sent = 0;
    for (const talk of talks) sent += await talk.end();
    await assertNoGrowth(hub, held);
    t.diagnostic(`${kills} kills, ${sent} messages between survivors, none lost, doubled or out of order`);
  });
});
