/**
 * The end of a worker: it stops accepting, drains its clients, answers the requests and finishes the handlers and
 * commands under way, and only then ends its links, behind the last publication. It promises that whatever it has
 * accepted reaches the siblings, and that what it gives up when its time is over is counted.
 *
 *   drain ▶ port closed ▶ clients gone, requests answered, handlers done ▶ no more calls
 *     ▶ links ended and read by the siblings ─ drained ▶ exit 0
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../client/client.ts';
import type { DrainOrder } from '../ipc/messages.ts';
import type { Commands } from '../handlers/commands.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../platform/log.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { Drain } from './drain.ts';
import { graceMs } from './drain-pacer.ts';
import type { HttpDrain } from './http-drain.ts';
import { sendAndFlush } from '../ipc/primary-channel.ts';
import type { Acceptor } from '../ingress/acceptor.ts';
import type { Handshake } from '../ingress/handshake.ts';

/** how long an idle HTTP connection is left open: its next answer would tell the client that it closes */
const idleMs = 1_000;
/** what is kept of the time for the links */
const linksMs = 500;
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
  door: Acceptor;
  hub: Hub;
  upgrade: Handshake;
  http: HttpDrain;
  dispatcher: Pick<Dispatcher, 'idle' | 'stop'>;
  commands: Pick<Commands, 'idle'>;
  log: Log;
  last: LastDuties;
}

export class GracefulShutdown {
  readonly #door: Acceptor;
  readonly #hub: Hub;
  readonly #upgrade: Handshake;
  readonly #http: HttpDrain;
  readonly #dispatcher: Pick<Dispatcher, 'idle' | 'stop'>;
  readonly #commands: Pick<Commands, 'idle'>;
  readonly #log: Log;
  readonly #last: LastDuties;
  #drain: Drain<Client> | null = null;
  /** the links have been ended: what is published here now reaches nobody */
  left = false;
  // In milliseconds of the monotonic clock: when idle HTTP connections are closed, when requests that have not come
  // whole are refused, and when nothing is waited for any longer.
  #idleEndsAt = Infinity;
  #patienceEndsAt = Infinity;
  #deadline = Infinity;

  constructor({ door, http, hub, upgrade, dispatcher, commands, log, last }: LeaveParts) {
    this.#door = door;
    this.#hub = hub;
    this.#upgrade = upgrade;
    this.#http = http;
    this.#dispatcher = dispatcher;
    this.#commands = commands;
    this.#log = log;
    this.#last = last;
  }

  /** Begins, or goes on by a new order. Ends the process. */
  follow(order: DrainOrder): void {
    // A reload has a successor for whoever comes; those that this worker has half way in are let in.
    if (order.reason === 'going_away') this.#upgrade.close();
    const now = performance.now();
    this.#idleEndsAt = Math.min(this.#idleEndsAt, now + idleMs);
    this.#patienceEndsAt = now + order.spreadMs + graceMs;
    this.#deadline = now + order.budgetMs - exitMs;
    if (this.#drain) {
      this.#drain.follow(order, now);
      return;
    }
    this.#drain = new Drain(this.#hub.clients, order, now);
    void this.#run(this.#drain);
  }

  async #run(drain: Drain<Client>): Promise<void> {
    this.#door.close();
    this.#http.begin();
    do {
      await drain.run();
      // A handshake that is under way may still become a connection.
      await this.#until((now) => drain.remaining > 0 || this.#isEmpty(now), linksMs);
    } while (drain.remaining > 0);
    this.#hub.clients.stopPinging();
    const { mesh } = this.#hub;
    mesh.leave();
    await this.#until(() => mesh.callsOver && this.#commands.idle && this.#dispatcher.idle, linksMs);
    this.left = true;
    mesh.end();
    const flushed = this.#last.flush().then(() => true);
    await this.#until(() => mesh.ended);
    mesh.close();
    await Promise.race([flushed, this.#until(() => false)]);
    this.#log.info(drain.report, 'worker drained');
    await sendAndFlush({ kind: 'counted', snapshot: this.#last.counters() });
    const { forced } = drain.report;
    await sendAndFlush({ kind: 'drained', forced });
    process.exit(0);
  }

  #unfinished(): Record<string, unknown> {
    const { mesh } = this.#hub;
    return {
      handshakes: this.#door.pending + this.#upgrade.pending,
      httpConnections: this.#http.size,
      handlersDone: this.#dispatcher.idle,
      commandsDone: this.#commands.idle,
      callsOver: mesh.callsOver,
      linksEnded: mesh.ended,
      linkQueueBytes: mesh.queuedBytes,
    };
  }

  /** Nothing here can publish any more but a sibling's command. Ends what has taken too long. */
  #isEmpty(now: number): boolean {
    if (now >= this.#patienceEndsAt) {
      this.#upgrade.close();
      this.#dispatcher.stop();
      this.#door.refusePending();
      this.#http.refuseUnfinished();
    } else if (now >= this.#idleEndsAt) {
      this.#http.closeIdle();
    }
    const arriving = this.#door.pending + this.#upgrade.pending + this.#http.size;
    return arriving === 0 && this.#dispatcher.idle;
  }

  /**
   * Resolves when it is reached, or so many milliseconds before the deadline.
   * @param reached is given the time before the last look at the sockets: after a standstill of the process, what has
   * come meanwhile is read before anything is found to be too late
   */
  async #until(reached: (now: number) => boolean, reserveMs = 0): Promise<void> {
    for (let now = -Infinity; !reached(now);) {
      now = performance.now();
      if (now >= this.#deadline - reserveMs) {
        this.#log.warn(this.#unfinished(), 'the time to drain is over');
        return;
      }
      await sleep(pollMs);
    }
  }
}
