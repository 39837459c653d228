/**
 * The public port: one listening socket for each slot (SO_REUSEPORT, socket(7)), over which the kernel spreads the
 * clients; no connection passes through the primary. It holds the sockets itself and only lends them to workers, so
 * that clients who wait to be accepted outlive the worker: its successor, or whoever stands in for it, serves them.
 * A socket that a service manager has passed is one for all workers.
 */
import { lookup } from 'node:dns/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { OperatorError, messageOf } from '../platform/errors.ts';
import {
  bindSocket,
  OwnSocket,
  passedSocket,
  supported,
  type ListeningSocket,
} from '../platform/node-internals/listening-socket.ts';
import { listenFault } from '../http/listen.ts';
import { planMoves } from './rebalance.ts';
import { exclusively } from './start-lock.ts';

/** Who accepts. `slot` is whose socket it has by right. */
export interface Acceptor {
  readonly slot: number;
  /** it has answered lately: nobody need stand in for it */
  readonly responsive: boolean;
  /** who is connected to it, as it last said */
  readonly clients: number;
  /** From now on it accepts from the socket. Resolves when it does. */
  listen(index: number, socket: ListeningSocket): Promise<void>;
  /** It no longer accepts from the socket. */
  giveBack(index: number): void;
  /** It is to say when so many more clients have come over the socket. */
  take(index: number, clients: number): void;
}

interface Address {
  host: string;
  family: number;
}

export class Listeners {
  readonly port: number;
  readonly #sockets: ListeningSocket[];
  /** null: the one socket was passed, and there will be no other */
  readonly #address: Address | null;
  /** who accepts from which, and how many at most; Infinity where it is by right or as a stand-in */
  #lent = new Map<Acceptor, Map<number, number>>();
  /** over which as many have gone elsewhere as should have, by what is known; the owner clears it now and then */
  readonly settled = new Set<number>();
  /** keeps the port from other programs until workers listen; null afterwards, and for a passed socket */
  #guard: Server | null;
  #closed = false;

  private constructor(sockets: ListeningSocket[], address: Address | null, guard: Server | null) {
    this.#sockets = sockets;
    this.#address = address;
    this.#guard = guard;
    const bound: { port?: number } = {};
    sockets[0]?.getsockname(bound);
    this.port = bound.port ?? 0;
  }

  /**
   * Takes the port.
   * @param slots how many workers will share it
   * @throws {OperatorError} as a rejection: the port is in use, or the address is not this machine's
   */
  static async bind(host: string, port: number, slots: number): Promise<Listeners> {
    const fault = (code: string) => new OperatorError(listenFault('WSHUB_PORT', host, port, code));
    const address = await lookup(host).then(
      (found) => ({ host: found.address, family: found.family }),
      (error: unknown) => {
        throw fault((error as NodeJS.ErrnoException).code ?? messageOf(error));
      },
    );
    const guard = await (port === 0
      ? guardOn(address, port, fault) // the system hands out no port that somebody has
      : exclusively(`port-${port}`, async () => {
          // Without SO_REUSEPORT first: with it a second hub of the same user could take half of the clients.
          if (supported) bindOne(address, port, false, fault).close();
          else (await guardOn(address, port, fault, false)).close();
          return guardOn(address, port, fault);
        }));
    try {
      const bound = (guard.address() as AddressInfo).port;
      const listeners = new Listeners([bindOne(address, bound, true, fault)], address, guard);
      listeners.resize(slots);
      return listeners;
    } catch (error) {
      guard.close();
      throw error;
    }
  }

  /** @param fd a socket that listens already */
  static passed(fd: number): Listeners {
    const socket = passedSocket(fd);
    if (typeof socket === 'string') throw new OperatorError(`the passed socket: ${socket}`);
    return new Listeners([socket], null, null);
  }

  /** There will be so many slots. A socket is never closed while the port is held: clients may wait in its queue. */
  resize(slots: number): void {
    if (!this.#address) return;
    while (this.#sockets.length < slots) {
      this.#sockets.push(bindOne(this.#address, this.port, true, (code) => new OperatorError(code)));
    }
  }

  /**
   * Sees to it that somebody accepts from every socket: the worker of its slot, or, where that is missing or silent,
   * another one; where it has more than its share of clients, one that has fewer, for as many as make them even. To be
   * called whenever the workers or what is known of them has changed.
   * @param workers those that can serve
   */
  async lend(workers: readonly Acceptor[]): Promise<void> {
    const before = this.#lent;
    this.#lent = this.#share(workers);
    const pending: Promise<void>[] = [];
    for (const [worker, parts] of this.#lent) {
      for (const [index, clients] of parts) {
        const socket = this.#sockets[index];
        const had = before.get(worker)?.get(index);
        if (socket && had === undefined) pending.push(worker.listen(index, socket));
        if (clients !== Infinity && had !== clients) worker.take(index, clients);
      }
    }
    await Promise.all(pending);
    // Clients must reach workers only from now on, and other programs still find the port in use.
    if (this.#lent.size > 0) this.#endGuard();
    else if (!supported && !this.#guard) await this.#reserve();
    for (const [worker, parts] of before) {
      const kept = this.#lent.get(worker); // a later call may have lent it again
      if (kept) for (const index of parts.keys()) if (!kept.has(index)) worker.giveBack(index);
    }
  }

  close(): void {
    this.#closed = true;
    this.#endGuard();
    for (const socket of this.#sockets) socket.close();
  }

  /** Keeps the port from other programs while no worker listens: the primary has no socket of its own. */
  async #reserve(): Promise<void> {
    if (this.#closed || !this.#address) return;
    const guard = await guardOn(this.#address, this.port, (code) => new OperatorError(code)).catch(
      () => null,
    );
    this.#guard?.close();
    this.#guard = guard;
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- `close` may have been called meanwhile
    if (this.#closed || this.#lent.size > 0) this.#endGuard();
  }

  #endGuard(): void {
    this.#guard?.close();
    this.#guard = null;
  }

  #share(workers: readonly Acceptor[]): Map<Acceptor, Map<number, number>> {
    // A socket that a worker binds itself can be lent to nobody else.
    if (!supported) return new Map(workers.map((worker) => [worker, new Map([[worker.slot, Infinity]])]));
    const shares = new Map(workers.map((worker) => [worker, new Map<number, number>()]));
    const able = workers.filter(({ responsive }) => responsive);
    const moves = this.settled.size === 0 ? planMoves(able) : [];
    for (const index of this.#sockets.keys()) {
      const owners = this.#address ? workers.filter(({ slot }) => slot === index) : workers;
      const standIn = able[index % able.length];
      if (standIn && !owners.some(({ responsive }) => responsive)) shares.get(standIn)?.set(index, Infinity);
      for (const owner of owners) {
        const move = moves.find(({ from }) => from === owner);
        if (move) shares.get(move.to)?.set(index, move.clients);
        else if (shares.get(owner)?.get(index) === undefined) shares.get(owner)?.set(index, Infinity);
      }
    }
    return shares;
  }
}

/**
 * Listens on the port until workers do: a socket that is only bound keeps nobody from binding another one, nor from
 * listening on it. A client that comes so early is turned away.
 */
function guardOn(
  { host }: Address,
  port: number,
  fault: (code: string) => OperatorError,
  reusePort = true,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(fault(error.code ?? error.message));
    });
    server.listen({ host, port, reusePort }, () => {
      resolve(server);
    });
  });
}

function bindOne(
  { host, family }: Address,
  port: number,
  shared: boolean,
  fault: (code: string) => OperatorError,
): ListeningSocket {
  if (!supported) return new OwnSocket(host, port);
  const socket = bindSocket(host, family, port, shared);
  if (typeof socket === 'string') throw fault(socket);
  return socket;
}
