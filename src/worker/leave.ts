/**
 * How a worker ends: it accepts nobody any more, drains its clients, hands what waits to its siblings, lets the
 * primary take it out of the mesh, and is gone.
 *
 *   drain ▶ port closed ▶ clients gone ▶ links flushed ─ drained ▶ siblings have forgotten it ▶ exit 0
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../connection/connection.ts';
import type { DrainOrder } from '../control/messages.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../log.ts';
import { Drain } from './drain.ts';
import { tell } from './to-primary.ts';
import type { Door } from './door.ts';
import type { Upgrade } from './upgrade.ts';

/** what is waited for at each step after the drain, at most */
const stepTimeoutMs = 1_000;
const pollMs = 10;

export class Leave {
  readonly #door: Door;
  readonly #hub: Hub;
  readonly #upgrade: Upgrade;
  readonly #log: Log;
  /** what is to be done when all clients are gone */
  readonly #lastly: () => Promise<void>;
  #drain: Drain<Connection> | null = null;

  constructor(door: Door, hub: Hub, upgrade: Upgrade, log: Log, lastly: () => Promise<void>) {
    this.#door = door;
    this.#hub = hub;
    this.#upgrade = upgrade;
    this.#log = log;
    this.#lastly = lastly;
  }

  /** Begins, or goes on by a new order. Ends the process. */
  follow(order: DrainOrder): void {
    // A reload has a successor for whoever comes; those that this worker has half way in are let in.
    if (order.reason === 'going_away') this.#upgrade.close();
    if (this.#drain) {
      this.#drain.follow(order, performance.now());
      return;
    }
    this.#drain = new Drain(this.#hub.connectionSet, order, performance.now());
    void this.#run(this.#drain);
  }

  async #run(drain: Drain<Connection>): Promise<void> {
    this.#door.close();
    do {
      await drain.run();
      this.#hub.flush();
      // A handshake that is under way may still become a connection.
      await until(() => this.#door.pending + this.#upgrade.pending === 0 || drain.remaining > 0);
    } while (drain.remaining > 0);
    this.#hub.connectionSet.stopPinging();
    await until(() => this.#hub.mesh.queuedBytes === 0);
    this.#hub.mesh.leave();
    this.#log.info(drain.report, 'worker drained');
    await this.#lastly();
    const { closed, forced } = drain.report;
    tell({ kind: 'drained', closed, forced });
    await until(() => this.#hub.mesh.siblings().length === 0);
    this.#hub.mesh.close();
    process.exit(0);
  }
}

async function until(reached: () => boolean): Promise<void> {
  const deadline = performance.now() + stepTimeoutMs;
  while (!reached() && performance.now() < deadline) await sleep(pollMs);
}
