/**
 * Drains the HTTP connections of a worker: the next response of each says that it closes, and requests that are incomplete in time
 * are refused. Every complete request gets a response. Idle connections get no notice, because HTTP has none.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

interface HttpConnection {
  /** requests without a finished response, oldest first */
  readonly open: Exchange[];
  /** `bytesRead` of the socket when its last response was finished */
  restedAtBytes: number;
}

export class HttpDrain {
  readonly #refuse: (socket: Socket) => void;
  readonly #connections = new Map<Socket, HttpConnection>();
  #begun = false;

  /** @param refuse answers a client whose request is incomplete */
  constructor(server: Server, refuse: (socket: Socket) => void) {
    this.#refuse = refuse;
    server.on('connection', (socket: Socket) => {
      this.#connections.set(socket, { open: [], restedAtBytes: 0 });
      socket.once('close', () => this.#connections.delete(socket));
    });
    // WebSockets, and refused handshakes.
    server.on('upgrade', ({ socket }) => {
      this.release(socket);
    });
    // Before the other listeners: the header must be set before the response is written.
    server.prependListener('request', this.#onRequest);
    server.prependListener('checkExpectation', this.#onRequest);
  }

  /** Must be called when the response of a connection has become a stream: it is drained as a client. */
  release(socket: Socket): void {
    this.#connections.delete(socket);
  }

  /** Number of open HTTP connections. */
  get size(): number {
    return this.#connections.size;
  }

  /** Makes every response the last one of its connection. */
  begin(): void {
    this.#begun = true;
    for (const { open } of this.#connections.values()) setLast(open.at(-1), true);
  }

  /** Closes connections without a request. */
  closeIdle(): void {
    for (const [socket, connection] of this.#connections) if (isIdle(socket, connection)) socket.destroy();
  }

  /** Refuses incomplete requests; complete ones are still answered. */
  refuseUnfinished(): void {
    for (const [socket, connection] of this.#connections) {
      const oldest = connection.open[0];
      if (isIdle(socket, connection)) socket.destroy();
      else if (!socket.writable)
        continue; // refused before
      else if (!oldest || (!oldest.request.complete && !oldest.response.headersSent)) this.#refuse(socket);
    }
  }

  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const connection = this.#connections.get(request.socket);
    if (!connection) return;
    if (this.#begun) {
      setLast(connection.open.at(-1), false); // pipelined: the response before it is not the last one
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
