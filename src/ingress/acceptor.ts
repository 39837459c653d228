/**
 * Where clients come in: accepts on the listening sockets that the primary lends. A WebSocket handshake that comes
 * whole, as nearly all do, goes straight to the upgrade; everything else is the HTTP server's, which reads it as if it
 * had accepted it. Whoever has not made a request in time is told so.
 */
import { createServer, Socket, type Server } from 'node:net';
import { HubError } from '../platform/errors.ts';
import { awaitReader, supported as injects } from '../platform/node-internals/http-injection.ts';
import { endOnce, readBuffered, readDirect } from '../platform/node-internals/raw-socket.ts';
import { supported as takesPlainRequests } from '../transport/websocket/ws-adapter.ts';
import { backlog } from '../http/listen.ts';
import { refuse } from '../http/refuse.ts';
import { PendingConnections } from './pending-connections.ts';
import { upgradeRequest, type UpgradeRequest } from './handshake-parser.ts';

export interface AcceptorOptions {
  /** milliseconds that a client has from its TCP connection to the end of its request headers */
  handshakeTimeoutMs: number;
  /** milliseconds that it has to take a refusal */
  closeTimeoutMs: number;
  /** sockets that one listening socket may bring, before it drops whoever comes */
  maxSockets: number;
  /** sockets of one address that have not become a WebSocket; 0: no limit */
  maxUnfinished: number;
  /** A client was refused. */
  refused: (error: HubError) => void;
  /** A client has come. */
  accepted: () => void;
  /** As many clients have come over a listening socket as it was to bring. */
  quotaReached: (index: number) => void;
  /** A handshake has come whole; `head` is what the client has sent behind it. */
  upgrade: (request: UpgradeRequest, socket: Socket, head: Buffer) => void;
  /** Takes a client that has sent something else; it is read from the beginning. */
  http: (socket: Socket) => void;
}

/** A socket of which the door still has to hear; one symbol instead of a closure for each. */
const door = Symbol('door');
type Arrival = Socket & { [door]: Acceptor };

const noBytes = Buffer.alloc(0);

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #servers = new Map<number, Server>();
  /** how many more clients are to come over each, where that was said */
  readonly #quotas = new Map<number, number>();
  readonly #unfinished: PendingConnections;
  /** who has not made a whole request, and when the time for it is over; in the order of that time */
  readonly #pending = new Map<Socket, number>();
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#unfinished = new PendingConnections(options.maxUnfinished);
  }

  /** Clients that may yet make a request. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Accepts from a listening socket.
   * @param index the primary's number for it
   * @param from the socket, or the options of node:net for one of this worker's own
   */
  listen(index: number, from: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        this.#accepted(index, socket);
      });
      // The last defence against running out of descriptors, reached by what never becomes a WebSocket.
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

  /** Accepts no longer from it; whoever is in stays. */
  release(index: number): void {
    this.#servers.get(index)?.close();
    this.#servers.delete(index);
    this.#quotas.delete(index);
  }

  /** Accepts nobody any more. */
  close(): void {
    this.#closed = true;
    for (const index of [...this.#servers.keys()]) this.release(index);
  }

  /** Says `filled` when so many more clients have come over that listening socket. */
  setQuota(index: number, clients: number): void {
    this.#quotas.set(index, clients);
  }

  /** The client has made a request. */
  heard(socket: Socket): void {
    if (this.#pending.delete(socket)) socket.off('close', arrivalOnClose);
  }

  /** The client is about to become a WebSocket. */
  upgrades(socket: Socket): void {
    this.heard(socket);
    this.#unfinished.leave(socket);
  }

  /** Ends those whose time is over. To be called now and then. */
  sweep(now: number): void {
    for (const [socket, until] of this.#pending) {
      if (until > now) break;
      this.heard(socket);
      readBuffered(socket); // what it says now is too late
      this.#refuse(socket, new HubError('request_timeout'));
    }
  }

  /** Refuses those who have not made a whole request: the worker is about to end. */
  refusePending(): void {
    for (const socket of [...this.#pending.keys()]) {
      this.heard(socket);
      readBuffered(socket);
      this.#refuse(socket, new HubError('unavailable'));
    }
  }

  /** The first that has come from a client. */
  read(socket: Socket, bytes: Buffer, length: number): void {
    readBuffered(socket);
    socket.off('end', arrivalOnEnd);
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

  /** A client has come over one of the listening sockets. */
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
    Object.assign(socket, { [door]: this });
    endOnce(socket); // ws ends it again when it has ended
    socket.on('close', arrivalOnClose);
    socket.on('error', arrivalOnError);
    if (!injects || !takesPlainRequests) {
      this.#options.http(socket);
      return;
    }
    readDirect(socket, arrivalOnBytes);
    socket.on('end', arrivalOnEnd);
  }
}

function arrivalOnBytes(this: Socket, bytes: Buffer, length: number): void {
  (this as Arrival)[door].read(this, bytes, length);
}

/** It has sent nothing and will not. */
function arrivalOnEnd(this: Socket): void {
  this.destroy();
}

function arrivalOnClose(this: Socket): void {
  (this as Arrival)[door].heard(this);
}

function arrivalOnError(this: Socket): void {
  // The client is gone; `close` follows.
}
