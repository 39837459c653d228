/**
 * Graceful shutdown of a worker: stops accepting, drains the clients, answers pending requests, finishes running handlers and
 * commands, and only then ends the links, after the last publication. Everything that the worker has accepted reaches the
 * siblings, and everything that it gives up at its deadline is counted.
 *
 *   drain ▶ port closed ▶ clients closed, requests answered, handlers done ▶ no more calls
 *     ▶ links ended and read by the siblings ─ drained ▶ exit 0
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientRegistry } from '../client/client-registry.ts';
import type { Client } from '../client/client.ts';
import type { DrainOrder } from '../ipc/messages.ts';
import type { Commands } from '../handlers/commands.ts';
import type { Lifecycle } from '../handlers/lifecycle.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import type { Log } from '../platform/log.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { Drain } from './drain.ts';
import { graceMs } from './drain-pacer.ts';
import type { HttpDrain } from './http-drain.ts';
import { sendAndFlush } from '../ipc/primary-channel.ts';
import type { Acceptor } from '../ingress/acceptor.ts';
import type { JoinPipeline } from '../ingress/join-pipeline.ts';
import type { BrokerLink } from '../relay/broker-link/broker-link.ts';
import type { Mesh } from '../relay/mesh/mesh.ts';

/** Time for which idle HTTP connections stay open: their next response tells the client that they close. */
const idleMs = 1_000;
/** Part of the budget reserved for the links. */
const linksMs = 500;
/** Part of the budget reserved for the last counters and the exit, also on a busy machine. */
const exitMs = 1_000;
const pollMs = 10;

/** The last steps, after all clients are closed. */
export interface LastDuties {
  /** Sends the collected traces. */
  flush(): Promise<void>;
  /** Returns all counters of this worker. */
  counters(): Snapshot;
}

export interface LeaveParts {
  acceptor: Acceptor;
  clients: ClientRegistry<Client>;
  mesh: Mesh;
  /** null: there is no broker */
  streams: Pick<BrokerLink, 'unacknowledged' | 'presence' | 'close'> | null;
  joins: JoinPipeline;
  http: HttpDrain;
  dispatcher: Pick<Dispatcher, 'idle' | 'stop'>;
  commands: Pick<Commands, 'idle'>;
  lifecycle: Pick<Lifecycle, 'stop'>;
  log: Log;
  last: LastDuties;
}

export class GracefulShutdown {
  readonly #acceptor: Acceptor;
  readonly #clients: ClientRegistry<Client>;
  readonly #mesh: Mesh;
  readonly #streams: Pick<BrokerLink, 'unacknowledged' | 'presence' | 'close'> | null;
  readonly #joins: JoinPipeline;
  readonly #http: HttpDrain;
  readonly #dispatcher: Pick<Dispatcher, 'idle' | 'stop'>;
  readonly #commands: Pick<Commands, 'idle'>;
  readonly #lifecycle: Pick<Lifecycle, 'stop'>;
  readonly #log: Log;
  readonly #last: LastDuties;
  #drain: Drain<Client> | null = null;
  /** the links have been ended: publications of this worker would reach no client */
  left = false;
  /** admin actions of which a part is being executed for the primary */
  asks = 0;
  // Times in ms of the monotonic clock: idle HTTP connections are closed; incomplete requests are refused; all waiting ends.
  #idleEndsAt = Infinity;
  #patienceEndsAt = Infinity;
  #deadline = Infinity;

  constructor({
    acceptor,
    http,
    clients,
    mesh,
    streams,
    joins,
    dispatcher,
    commands,
    lifecycle,
    log,
    last,
  }: LeaveParts) {
    this.#acceptor = acceptor;
    this.#clients = clients;
    this.#mesh = mesh;
    this.#streams = streams;
    this.#joins = joins;
    this.#http = http;
    this.#dispatcher = dispatcher;
    this.#commands = commands;
    this.#lifecycle = lifecycle;
    this.#log = log;
    this.#last = last;
  }

  /** Starts the shutdown, or continues with a new order. Ends the process. */
  follow(order: DrainOrder): void {
    // On a reload new workers accept clients; pending handshakes of this worker are completed.
    if (order.reason === 'going_away') this.#joins.close();
    const now = performance.now();
    this.#idleEndsAt = Math.min(this.#idleEndsAt, now + idleMs);
    this.#patienceEndsAt = now + order.spreadMs + graceMs;
    this.#deadline = now + order.budgetMs - exitMs;
    if (this.#drain) {
      this.#drain.follow(order, now);
      return;
    }
    this.#drain = new Drain(this.#clients, order, now);
    void this.#run(this.#drain);
  }

  async #run(drain: Drain<Client>): Promise<void> {
    this.#acceptor.close();
    this.#http.begin();
    do {
      await drain.run();
      // A pending handshake may still become a connection.
      await this.#until((now) => drain.remaining > 0 || this.#isEmpty(now), linksMs);
    } while (drain.remaining > 0);
    await this.#handOverMembers();
    await this.#runStopHandler();
    const mesh = this.#mesh;
    mesh.leave();
    await this.#until(() => this.#isIdle(), linksMs);
    await this.#until(() => !this.#streams?.unacknowledged, linksMs);
    this.left = true;
    mesh.end();
    const flushed = this.#last.flush().then(() => true);
    await this.#until(() => mesh.ended);
    mesh.close();
    this.#streams?.close();
    await Promise.race([flushed, this.#until(() => false)]);
    this.#log.info(drain.report, 'worker drained');
    await sendAndFlush({ kind: 'counted', snapshot: this.#last.counters() });
    const { forced } = drain.report;
    await sendAndFlush({ kind: 'drained', forced });
    process.exit(0);
  }

  /** The leaves of this worker's clients are handled, and another worker handles those that follow. */
  async #handOverMembers(): Promise<void> {
    const presence = this.#streams?.presence;
    await this.#until(() => !presence?.unhandled, linksMs);
    let isOver = false;
    const ending = presence?.endHandling().then(() => (isOver = true));
    if (ending) await this.#until(() => isOver && this.#dispatcher.idle, linksMs);
  }

  async #runStopHandler(): Promise<void> {
    let isDone = false;
    const stopping = this.#lifecycle.stop()?.finally(() => (isDone = true));
    if (stopping) await this.#until(() => isDone, linksMs);
  }

  #isIdle(): boolean {
    return this.asks === 0 && this.#mesh.callsOver && this.#commands.idle && this.#dispatcher.idle;
  }

  #unfinished(): Record<string, unknown> {
    const mesh = this.#mesh;
    return {
      handshakes: this.#acceptor.pending + this.#joins.pending,
      httpConnections: this.#http.size,
      handlersDone: this.#dispatcher.idle,
      commandsDone: this.#commands.idle,
      callsOver: mesh.callsOver,
      adminActions: this.asks,
      linksEnded: mesh.ended,
      linkQueueBytes: mesh.queuedBytes,
      unacknowledged: this.#streams?.unacknowledged ?? 0,
      unhandledLeaves: this.#streams?.presence.unhandled ?? 0,
    };
  }

  /** Whether only commands of siblings can still publish here. Ends requests and handlers that have taken too long. */
  #isEmpty(now: number): boolean {
    if (now >= this.#patienceEndsAt) {
      this.#joins.close();
      this.#dispatcher.stop();
      this.#acceptor.refusePending();
      this.#http.refuseUnfinished();
    } else if (now >= this.#idleEndsAt) {
      this.#http.closeIdle();
    }
    const arriving = this.#acceptor.pending + this.#joins.pending + this.#http.size;
    return arriving === 0 && this.#dispatcher.idle;
  }

  /**
   * Resolves when the condition is reached, or `reserveMs` before the deadline.
   * @param reached called with a time before the last poll of the sockets: after the process was blocked, input that arrived
   * meanwhile is read before anything counts as too late
   */
  async #until(reached: (now: number) => boolean, reserveMs = 0): Promise<void> {
    for (let now = -Infinity; !reached(now);) {
      now = performance.now();
      if (now >= this.#deadline - reserveMs) {
        this.#log.warn(this.#unfinished(), 'drain deadline reached');
        return;
      }
      await sleep(pollMs);
    }
  }
}
