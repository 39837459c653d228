/**
 * The public port: one listening socket per slot (SO_REUSEPORT, socket(7)), between which the kernel distributes clients. The
 * primary owns the sockets and lends them to workers, so that clients in an accept queue survive the death of a worker: its
 * successor or a stand-in accepts them. The primary itself accepts none. A socket that a service manager has passed is shared by
 * all workers.
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

/** A worker that can accept clients. `slot` is the socket that it owns. */
export interface Acceptor {
  readonly slot: number;
  /** false: another worker also accepts from its socket */
  readonly responsive: boolean;
  /** connections and pending handshakes, as last reported */
  readonly clients: number;
  /** Makes the worker accept from a socket. Resolves when it does. */
  listen(index: number, socket: ListeningSocket): Promise<void>;
  /** Makes the worker stop accepting from a socket. */
  release(index: number): void;
  /** Sets the quota of clients after which the worker reports that it has reached it. */
  setQuota(index: number, clients: number): void;
}

interface Address {
  host: string;
  family: number;
}

export class Listeners {
  readonly port: number;
  readonly #sockets: ListeningSocket[];
  /** null: the only socket was passed by a service manager */
  readonly #address: Address | null;
  /** sockets that each worker accepts from, with its quota; Infinity for the owner and for stand-ins */
  #assigned = new Map<Acceptor, Map<number, number>>();
  /** sockets whose transfer quota has been reached; cleared by each rebalance */
  readonly reachedQuotas = new Set<number>();
  /** reserves the port until workers listen; null afterwards, and for a passed socket */
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
   * @param slots number of workers that share it
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
      ? guardOn(address, port, fault) // the kernel picks a free port
      : exclusively(`port-${port}`, async () => {
          // First without SO_REUSEPORT: with it a second hub of the same user could take half of the clients.
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

  /** @param fd a listening socket */
  static passed(fd: number): Listeners {
    const socket = passedSocket(fd);
    if (typeof socket === 'string') throw new OperatorError(`the passed socket: ${socket}`);
    return new Listeners([socket], null, null);
  }

  /** Sets the number of slots. Sockets of removed slots stay open: clients may wait in their accept queues. */
  resize(slots: number): void {
    if (!this.#address) return;
    while (this.#sockets.length < slots) {
      this.#sockets.push(bindOne(this.#address, this.port, true, (code) => new OperatorError(code)));
    }
  }

  /**
   * Assigns every socket to a worker: the one of its slot, or a stand-in if that is missing or unresponsive. If the owner has
   * more than its share of clients, a worker with fewer accepts from its socket for a quota. Must be called whenever the workers
   * or their counts have changed.
   * @param workers all that can serve
   */
  async assign(workers: readonly Acceptor[]): Promise<void> {
    const before = this.#assigned;
    this.#assigned = this.#share(workers);
    const pending: Promise<void>[] = [];
    for (const [worker, parts] of this.#assigned) {
      for (const [index, clients] of parts) {
        const socket = this.#sockets[index];
        const had = before.get(worker)?.get(index);
        if (socket && had === undefined) pending.push(worker.listen(index, socket));
        if (clients !== Infinity && had !== clients) worker.setQuota(index, clients);
      }
    }
    await Promise.all(pending);
    // The guard is closed only now: other programs must find the port in use all the time.
    if (this.#assigned.size > 0) this.#endGuard();
    else if (!supported && !this.#guard) await this.#reserve();
    for (const [worker, parts] of before) {
      const kept = this.#assigned.get(worker); // a later call may have assigned it again
      if (kept) for (const index of parts.keys()) if (!kept.has(index)) worker.release(index);
    }
  }

  close(): void {
    this.#closed = true;
    this.#endGuard();
    for (const socket of this.#sockets) socket.close();
  }

  /** Reserves the port while no worker listens, if workers bind it themselves. */
  async #reserve(): Promise<void> {
    if (this.#closed || !this.#address) return;
    const guard = await guardOn(this.#address, this.port, (code) => new OperatorError(code)).catch(
      () => null,
    );
    this.#guard?.close();
    this.#guard = guard;
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- `close` may have been called meanwhile
    if (this.#closed || this.#assigned.size > 0) this.#endGuard();
  }

  #endGuard(): void {
    this.#guard?.close();
    this.#guard = null;
  }

  #share(workers: readonly Acceptor[]): Map<Acceptor, Map<number, number>> {
    // Sockets that workers bind themselves cannot be lent to others.
    if (!supported) return new Map(workers.map((worker) => [worker, new Map([[worker.slot, Infinity]])]));
    const shares = new Map(workers.map((worker) => [worker, new Map<number, number>()]));
    const able = workers.filter(({ responsive }) => responsive);
    const moves = this.reachedQuotas.size === 0 ? planMoves(able) : [];
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
 * Listens on the port until workers do: a socket that is only bound does not keep other programs from binding and listening.
 * Clients that connect so early are disconnected.
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
