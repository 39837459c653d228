/**
 * An HTTP response that stays open as the transport of a client: server-sent events, or messages in lines. Its head is written by
 * node:http, all that follows goes to the socket directly; the end of the connection ends the response. The client sends nothing
 * on it: it leaves by closing the connection. Its messages, if the protocol has any, come with other requests. A client that
 * vanishes is noticed by the pings of its protocol, by heartbeats that stay without acknowledgement (TCP), or by the outbox limits.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { writeNow } from '../../platform/node-internals/raw-socket.ts';
import type { Endpoint, Transport, TransportEvents } from '../transport.ts';

const nothing = Buffer.alloc(0);

/** Code of a stream that the client has closed, in the log (RFC 6455 section 7.1.5). */
const noCode = 1006;

/** Messages that may wait while the client is not read from; their bytes have the limit of two messages. */
const maxWaiting = 256;

/** The bytes of one kind of stream. */
export interface StreamKind {
  readonly contentType: string;
  /** keeps the connection alive; readers ignore it */
  readonly heartbeat: Buffer;
}

export interface HttpStreamOptions extends StreamKind {
  /** time that a client has to take what was written before the close */
  readonly closeTimeoutMs: number;
  /** Encodes the last message of the stream. */
  readonly lastMessage: (code: number, text: string) => Buffer;
}

const open = new WeakSet<ServerResponse>();

/** Whether the response is a stream that is still open. */
export function isOpenStream(response: ServerResponse): boolean {
  return open.has(response) && !response.destroyed;
}

export class HttpStream implements Transport {
  readonly #socket: Socket;
  readonly #options: HttpStreamOptions;
  #connection: Endpoint | null = null;
  #events: TransportEvents<Endpoint> | null = null;
  /** the code with which the hub has closed it */
  #code = noCode;
  #isPaused = false;
  /** messages that were received while reading is paused */
  #waiting: { data: Buffer; isBinary: boolean }[] = [];
  #waitingBytes = 0;

  private constructor(socket: Socket, options: HttpStreamOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /**
   * Writes the head of a response whose other headers are set. Its socket stays corked until `uncork`.
   * @returns null: the client is gone, or the response of an earlier request on its connection is not finished
   */
  static open(response: ServerResponse, options: HttpStreamOptions): HttpStream | null {
    const { socket } = response;
    if (!socket?.writable) return null;
    response.statusCode = 200;
    response.setHeader('Content-Type', options.contentType);
    response.setHeader('Cache-Control', 'no-cache, no-transform');
    response.setHeader('X-Accel-Buffering', 'no');
    response.setHeader('Connection', 'close');
    response.removeHeader('Transfer-Encoding'); // the close of the connection ends the body (RFC 9112 section 6.3)
    socket.cork();
    response.flushHeaders();
    open.add(response);
    return new HttpStream(socket, options);
  }

  /** Attaches the connection, for life. */
  attach<E extends Endpoint>(connection: E, events: TransportEvents<E>): void {
    const socket = this.#socket;
    this.#connection = connection;
    this.#events = events;
    socket.on('error', ignore);
    socket.once('end', () => socket.destroy());
    socket.once('close', (hadError) => {
      if (!hadError) connection.beginClose(null);
      connection.ended();
      events.ended(connection, this.#code);
    });
  }

  /**
   * Takes a message of the client that came with another request.
   * @returns false: too much waits
   */
  receive(data: Buffer, isBinary: boolean): boolean {
    const [connection, events] = [this.#connection, this.#events];
    if (!connection || !events) return false;
    connection.awaitsPong = false;
    if (!this.#isPaused) {
      this.#pass(connection, events, { data, isBinary });
      return true;
    }
    if (this.#waiting.length >= maxWaiting || this.#waitingBytes + data.length > 2 * events.maxPayload) {
      return false;
    }
    this.#waiting.push({ data, isBinary });
    this.#waitingBytes += data.length;
    return true;
  }

  #pass(
    connection: Endpoint,
    events: TransportEvents<Endpoint>,
    { data, isBinary }: { data: Buffer; isBinary: boolean },
  ): void {
    connection.hold(); // its answers leave in one write
    events.message(connection, data, isBinary);
    connection.release();
  }

  /** Lets the head and the first messages leave in one write. */
  uncork(): void {
    this.#socket.uncork();
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  write(bytes: Buffer): number {
    if (bytes.length === 0 || this.#socket.destroyed) return this.bufferedBytes;
    return writeNow(this.#socket, bytes);
  }

  /** Clients cannot answer: the client counts as alive until its connection breaks. */
  sendPing(): void {
    this.write(this.#options.heartbeat);
    if (this.#connection) this.#connection.awaitsPong = false;
  }

  pongFrame(): Buffer {
    return nothing;
  }

  /** Messages wait until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const [connection, events] = [this.#connection, this.#events];
    while (connection && events && !this.#mustWait()) {
      const message = this.#waiting.shift();
      if (!message) return;
      this.#waitingBytes -= message.data.length;
      this.#pass(connection, events, message);
    }
  }

  /** A message that was passed on may have paused reading again. */
  #mustWait(): boolean {
    return this.#isPaused;
  }

  close(code: number, text: string): void {
    const socket = this.#socket;
    this.#code = code;
    this.#waiting = [];
    this.write(this.#options.lastMessage(code, text));
    const deadline = setTimeout(() => socket.destroy(), this.#options.closeTimeoutMs);
    socket.once('close', () => {
      clearTimeout(deadline);
    });
    socket.destroySoon();
  }

  terminate(): void {
    this.#socket.destroy();
  }
}

function ignore(): void {
  // `close` follows.
}
