/**
 * An HTTP response that stays open as the transport of server-sent events. Its head is written by node:http, all that follows
 * goes to the socket directly; the end of the connection ends the response. It reads nothing: a client leaves by closing
 * the connection. One that vanishes is noticed once the heartbeats stay without acknowledgement (TCP), or by the outbox limits.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { writeNow } from '../../platform/node-internals/raw-socket.ts';
import type { Endpoint, Transport, TransportEvents } from '../transport.ts';

/** A comment: readers ignore it. */
const heartbeat = Buffer.from(':\n\n');

const nothing = Buffer.alloc(0);

/** Code of a stream that the client has closed, in the log (RFC 6455 section 7.1.5). */
const noCode = 1006;

export interface EventStreamOptions {
  /** time that a client has to take what was written before the close */
  closeTimeoutMs: number;
  /** Encodes the event that ends the stream. */
  lastEvent: (code: number, text: string) => Buffer;
}

export class EventStream implements Transport {
  readonly #socket: Socket;
  readonly #options: EventStreamOptions;
  #connection: Endpoint | null = null;
  /** what the hub has closed it with */
  #code = noCode;

  private constructor(socket: Socket, options: EventStreamOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /**
   * Writes the head of a response whose other headers are set. Its socket stays corked until `uncork`.
   * @returns null: the client is gone, or the response of an earlier request on its connection is not finished
   */
  static open(response: ServerResponse, options: EventStreamOptions): EventStream | null {
    const { socket } = response;
    if (!socket?.writable) return null;
    response.statusCode = 200;
    response.setHeader('Content-Type', eventStreamType);
    response.setHeader('Cache-Control', 'no-cache, no-transform');
    response.setHeader('X-Accel-Buffering', 'no');
    response.setHeader('Connection', 'close');
    response.removeHeader('Transfer-Encoding'); // the close of the connection ends the body (RFC 9112 section 6.3)
    socket.cork();
    response.flushHeaders();
    return new EventStream(socket, options);
  }

  /** Attaches the connection, for life. */
  attach(connection: Endpoint, events: TransportEvents<Endpoint>): void {
    const socket = this.#socket;
    this.#connection = connection;
    socket.on('error', ignore);
    socket.once('end', () => socket.destroy());
    socket.once('close', (hadError) => {
      if (!hadError) connection.beginClose(null);
      connection.ended();
      events.ended(connection, this.#code);
    });
  }

  /** Lets the head and the first events leave in one write. */
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
    this.write(heartbeat);
    if (this.#connection) this.#connection.awaitsPong = false;
  }

  pongFrame(): Buffer {
    return nothing;
  }

  /** Nothing is read anyway. */
  pause(): void {
    // see above
  }

  resume(): void {
    // see above
  }

  close(code: number, text: string): void {
    const socket = this.#socket;
    this.#code = code;
    this.write(this.#options.lastEvent(code, text));
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

export const eventStreamType = 'text/event-stream';

function ignore(): void {
  // `close` follows.
}
