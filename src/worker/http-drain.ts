/**
 * The HTTP connections of a worker, and their end: while the worker drains, each is told with its next answer that it
 * closes; what has not become a request in time is refused. It promises that no request that has come is left without
 * an answer. Idle connections get no notice: HTTP has none.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

interface HttpConnection {
  /** requests that have not been answered, oldest first */
  readonly open: Exchange[];
  /** what the socket had read when the last request had been answered */
  restedAtBytes: number;
}

export class HttpDrain {
  readonly #refuse: (socket: Socket) => void;
  readonly #connections = new Map<Socket, HttpConnection>();
  #begun = false;

  /** @param refuse answers a client whose request has not come in time */
  constructor(server: Server, refuse: (socket: Socket) => void) {
    this.#refuse = refuse;
    server.on('connection', (socket: Socket) => {
      this.#connections.set(socket, { open: [], restedAtBytes: 0 });
      socket.once('close', () => this.#connections.delete(socket));
    });
    // A connection that has become a WebSocket, or is refused as one.
    server.on('upgrade', ({ socket }) => this.#connections.delete(socket));
    // In front of what answers: the header must be set before the answer is written.
    server.prependListener('request', this.#onRequest);
    server.prependListener('checkExpectation', this.#onRequest);
  }

  /** HTTP connections that are open. */
  get size(): number {
    return this.#connections.size;
  }

  /** From now on every answer is the last one of its connection, and says so. */
  begin(): void {
    this.#begun = true;
    for (const { open } of this.#connections.values()) setLast(open.at(-1), true);
  }

  /** Closes the connections on which there is no request. */
  closeIdle(): void {
    for (const [socket, connection] of this.#connections) if (isIdle(socket, connection)) socket.destroy();
  }

  /** Refuses the requests that have not come whole; those that have are still answered. */
  refuseUnfinished(): void {
    for (const [socket, connection] of this.#connections) {
      const oldest = connection.open[0];
      if (isIdle(socket, connection)) socket.destroy();
      else if (!socket.writable)
        continue; // it has been refused
      else if (!oldest || (!oldest.request.complete && !oldest.response.headersSent)) this.#refuse(socket);
    }
  }

  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const connection = this.#connections.get(request.socket);
    if (!connection) return;
    if (this.#begun) {
      setLast(connection.open.at(-1), false); // it was pipelined: the answer in front of it is not the last one
      setLast({ request, response }, true);
    }
    const exchange = { request, response };
    connection.open.push(exchange);
    response.once('close', () => {
      connection.open.splice(connection.open.indexOf(exchange), 1);
      connection.restedAtBytes = request.socket.bytesRead;
    });
  };
}

function isIdle(socket: Socket, { open, restedAtBytes }: HttpConnection): boolean {
  return open.length === 0 && socket.bytesRead === restedAtBytes;
}

function setLast(exchange: Exchange | undefined, isLast: boolean): void {
  if (!exchange || exchange.response.headersSent) return;
  if (isLast) exchange.response.setHeader('Connection', 'close');
  else exchange.response.removeHeader('Connection');
}
