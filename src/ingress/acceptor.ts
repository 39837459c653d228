/**
 * Accepts clients on the listening sockets that the primary lends. A complete WebSocket handshake in the first read, the usual
 * case, goes directly to handshake.ts; any other input is passed to the HTTP server, which reads it as if it had accepted the
 * socket. Clients without a complete request in time get an error.
 */
import { createServer, Socket, type Server } from 'node:net';
import { HubError } from '../platform/errors.ts';
import { awaitReader, supported as injects } from '../platform/node-internals/http-injection.ts';
import { readBuffered, readDirect } from '../platform/node-internals/raw-socket.ts';
import { backlog } from '../http/listen.ts';
import { refuse } from '../http/refuse.ts';
import { PendingConnections } from './pending-connections.ts';
import { upgradeRequest, type UpgradeRequest } from './handshake-parser.ts';

export interface AcceptorOptions {
  /** time limit from the TCP connection to the end of the request headers */
  handshakeTimeoutMs: number;
  /** time limit for reading a refusal */
  closeTimeoutMs: number;
  /** maximum open sockets per listening socket; further clients are dropped */
  maxSockets: number;
  /** maximum sockets of one address that are no WebSockets; 0: no limit */
  maxUnfinished: number;
  /** Called when a client is refused. */
  refused: (error: HubError) => void;
  /** Called when a client is accepted. */
  accepted: () => void;
  /** Called when the quota of a listening socket is reached. */
  quotaReached: (index: number) => void;
  /** Called with each complete handshake; `head`: bytes after it. */
  upgrade: (request: UpgradeRequest, socket: Socket, head: Buffer) => void;
  /** Takes over a client with any other input, which is read from its beginning. */
  http: (socket: Socket) => void;
}

/** The acceptor of a pending socket; a symbol instead of closures for each socket. */
const acceptor = Symbol('acceptor');
type PendingSocket = Socket & { [acceptor]: Acceptor };

const noBytes = Buffer.alloc(0);

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #servers = new Map<number, Server>();
  /** clients left until the quota is reached, by listening socket */
  readonly #quotas = new Map<number, number>();
  readonly #unfinished: PendingConnections;
  /** sockets without a complete request, with their deadlines, in the order of the deadlines */
  readonly #pending = new Map<Socket, number>();
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#unfinished = new PendingConnections(options.maxUnfinished);
  }

  /** Number of clients without a complete request. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Accepts from a listening socket.
   * @param index the primary's number of the socket
   * @param from the socket, or options of node:net to bind one
   */
  listen(index: number, from: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        this.#accepted(index, socket);
      });
      // The last defence against running out of descriptors; reached only by sockets that are no WebSockets.
      Object.assign(server, { maxConnections: this.#options.maxSockets, dropMaxConnection: true }); // no type has both
      server.on('drop', () => {
        this.#options.refused(new HubError('overloaded'));
      });
      server.once('error', reject);
      server.listen(from, backlog, () => {
        this.#servers.get(index)?.close();
        this.#servers.set(index, server);
        if (this.#closed) this.close();
        resolve();
      });
    });
  }

  /** Stops accepting from a listening socket; its clients stay. */
  release(index: number): void {
    this.#servers.get(index)?.close();
    this.#servers.delete(index);
    this.#quotas.delete(index);
  }

  /** Stops accepting. */
  close(): void {
    this.#closed = true;
    for (const index of [...this.#servers.keys()]) this.release(index);
  }

  /** Sets the number of clients after which `quotaReached` is called. */
  setQuota(index: number, clients: number): void {
    this.#quotas.set(index, clients);
  }

  /** Called when a client has completed a request. */
  heard(socket: Socket): void {
    if (this.#pending.delete(socket)) socket.off('close', pendingOnClose);
  }

  /** Called when a client becomes a WebSocket. */
  upgrades(socket: Socket): void {
    this.heard(socket);
    this.#unfinished.leave(socket);
  }

  /** Refuses the clients whose deadline has passed. Must be called periodically. */
  sweep(now: number): void {
    for (const [socket, until] of this.#pending) {
      if (until > now) break;
      this.heard(socket);
      readBuffered(socket); // further input is too late
      this.#refuse(socket, new HubError('request_timeout'));
    }
  }

  /** Refuses all clients without a complete request: the worker is about to exit. */
  refusePending(): void {
    for (const socket of [...this.#pending.keys()]) {
      this.heard(socket);
      readBuffered(socket);
      this.#refuse(socket, new HubError('unavailable'));
    }
  }

  /** Called with the first bytes of a client. */
  read(socket: Socket, bytes: Buffer, length: number): void {
    readBuffered(socket);
    socket.off('end', pendingOnEnd);
    awaitReader(socket);
    const chunk = bytes.subarray(0, length);
    const found = upgradeRequest(chunk, socket);
    if (found) {
      this.upgrades(socket);
      const head = found.length < chunk.length ? Buffer.from(chunk.subarray(found.length)) : noBytes;
      this.#options.upgrade(found.request, socket, head);
    } else {
      socket.unshift(Buffer.from(chunk));
      this.#options.http(socket);
    }
  }

  /** Called with each accepted socket. */
  #accepted(index: number, socket: Socket): void {
    if (this.#unfinished.enter(socket)) this.#admit(socket);
    else this.#refuse(socket, new HubError('too_many_connections'));
    this.#options.accepted();
    const left = this.#quotas.get(index);
    if (left === undefined) return;
    this.#quotas.set(index, left - 1);
    if (left === 1) this.#options.quotaReached(index);
  }

  #refuse(socket: Socket, error: HubError): void {
    this.#options.refused(error);
    refuse(socket, error, this.#options.closeTimeoutMs);
  }

  #admit(socket: Socket): void {
    this.#pending.set(socket, performance.now() + this.#options.handshakeTimeoutMs);
    (socket as PendingSocket)[acceptor] = this;
    socket.on('close', pendingOnClose);
    socket.on('error', pendingOnError);
    if (!injects) {
      this.#options.http(socket);
      return;
    }
    readDirect(socket, pendingOnBytes);
    socket.on('end', pendingOnEnd);
  }
}

function pendingOnBytes(this: Socket, bytes: Buffer, length: number): void {
  (this as PendingSocket)[acceptor].read(this, bytes, length);
}

/** The client has ended its side without sending anything. */
function pendingOnEnd(this: Socket): void {
  this.destroy();
}

function pendingOnClose(this: Socket): void {
  (this as PendingSocket)[acceptor].heard(this);
}

function pendingOnError(this: Socket): void {
  // `close` follows.
}
