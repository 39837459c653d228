/**
 * The end of a worker: it stops accepting, drains its clients, finishes the commands of its siblings, and ends its
 * links behind the last publication. It promises that what it gives up when its time is over is counted.
 *
 *   drain ▶ port closed ▶ clients gone ▶ no more calls ▶ links ended and read by the siblings ─ drained ▶ exit 0
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../connection/connection.ts';
import type { DrainOrder } from '../control/messages.ts';
import type { Commands } from '../handlers/commands.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../log.ts';
import type { Snapshot } from '../observability/snapshot.ts';
import { Drain } from './drain.ts';
import { tellLast } from './to-primary.ts';
import type { Door } from './door.ts';
import type { Upgrade } from './upgrade.ts';

/** how long a handshake under way may take to become a connection once all clients are gone */
const handshakeMs = 1_000;
/** what is left of the budget when waiting ends: for the last counts, and the exit on a busy machine */
const exitMs = 1_000;
const pollMs = 10;

/** What is done when all clients are gone. */
export interface LastDuties {
  /** Sends what tracing has collected. */
  flush(): Promise<void>;
  /** What this worker has counted in all. */
  counters(): Snapshot;
}

export interface LeaveParts {
  door: Door;
  hub: Hub;
  upgrade: Upgrade;
  commands: Pick<Commands, 'idle'>;
  log: Log;
  last: LastDuties;
}

export class Leave {
  readonly #door: Door;
  readonly #hub: Hub;
  readonly #upgrade: Upgrade;
  readonly #commands: Pick<Commands, 'idle'>;
  readonly #log: Log;
  readonly #last: LastDuties;
  #drain: Drain<Connection> | null = null;
  /** in milliseconds of the monotonic clock: nothing is waited for any longer */
  #deadline = Infinity;

  constructor({ door, hub, upgrade, commands, log, last }: LeaveParts) {
    this.#door = door;
    this.#hub = hub;
    this.#upgrade = upgrade;
    this.#commands = commands;
    this.#log = log;
    this.#last = last;
  }

  /** Begins, or goes on by a new order. Ends the process. */
  follow(order: DrainOrder): void {
    // A reload has a successor for whoever comes; those that this worker has half way in are let in.
    if (order.reason === 'going_away') this.#upgrade.close();
    this.#deadline = performance.now() + order.budgetMs - exitMs;
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
      const arrived = () => this.#door.pending + this.#upgrade.pending === 0 || drain.remaining > 0;
      await this.#until(arrived, performance.now() + handshakeMs);
    } while (drain.remaining > 0);
    this.#hub.connectionSet.stopPinging();
    const { mesh } = this.#hub;
    mesh.leave();
    await this.#until(() => mesh.callsOver && this.#commands.idle);
    mesh.end();
    const flushed = this.#last.flush().then(() => true);
    await this.#until(() => mesh.ended);
    mesh.close();
    await Promise.race([flushed, this.#until(() => false)]);
    this.#log.info(drain.report, 'worker drained');
    await tellLast({ kind: 'counted', snapshot: this.#last.counters() });
    const { closed, forced } = drain.report;
    await tellLast({ kind: 'drained', closed, forced });
    process.exit(0);
  }

  /** Resolves when it is reached, or too late for it. */
  async #until(reached: () => boolean, deadline = Infinity): Promise<void> {
    while (!reached() && performance.now() < Math.min(deadline, this.#deadline)) await sleep(pollMs);
  }
}
