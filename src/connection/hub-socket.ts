/**
 * ws's WebSocket with the hub's connection attached: references instead of closures per connection, and one place
 * through which every close passes, also those that ws begins by itself.
 */
import { WebSocket } from 'ws';
import { closeReason } from '../protocol/close-codes.ts';
import type { Connection } from './connection.ts';

/** What becomes of a connection's messages; one object serves all connections of a worker. */
export interface ConnectionEvents {
  message(connection: Connection, data: Buffer, isBinary: boolean): void;
  /** The client asks for a pong. */
  ping(connection: Connection, data: Buffer): void;
  /** A pong came, asked for or not. */
  pong(connection: Connection, data: Buffer): void;
  /** A message came in more pieces than one may; the connection is being closed for it. */
  tooManyPieces(): void;
  /** Its socket is gone. Last call of all. */
  ended(connection: Connection): void;
}

export class HubSocket extends WebSocket {
  #connection: Connection | null = null;
  #events: ConnectionEvents | null = null;

  /** Attaches the connection, for life. */
  attach(connection: Connection, events: ConnectionEvents): void {
    this.#connection = connection;
    this.#events = events;
    this.on('message', onMessage);
    this.on('pong', onPong);
    this.on('close', onClose);
    this.on('error', onError);
  }

  get connection(): Connection | null {
    return this.#connection;
  }

  get events(): ConnectionEvents | null {
    return this.#events;
  }

  /**
   * ws calls this with a code and no text when the peer broke the protocol (invalid UTF-8, too large, a bad
   * frame), and with the peer's own code and text, or with nothing, when the peer closes.
   */
  override close(code?: number, text?: string | Buffer): void {
    const reason = code !== undefined && text === undefined ? closeReason(code) : null;
    if (this.readyState === WebSocket.OPEN) this.#connection?.beginClose(reason);
    super.close(code, text ?? reason ?? undefined);
  }

  /** ws calls this for each ping that comes; a pong that it wrote by itself would pass the limits by. */
  override pong(data: Buffer, _mask?: unknown, done?: (error: Error) => void): void {
    if (this.#connection) this.#events?.ping(this.#connection, data);
    (done as (() => void) | undefined)?.(); // ws bounds the pongs that wait; ours are in the outbox
  }
}

/** ws calls a listener with the socket as `this`, and types it as its own class. */
function own(socket: WebSocket): HubSocket {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- `attach` added the listener
  return socket as HubSocket;
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  const { connection, events } = own(this);
  if (connection?.state !== 'open') return;
  connection.awaitsPong = false;
  events?.message(connection, data as Buffer, isBinary); // binaryType nodebuffer: one Buffer per message
}

function onPong(this: WebSocket, data: Buffer): void {
  const { connection, events } = own(this);
  if (connection?.state !== 'open') return;
  connection.awaitsPong = false;
  events?.pong(connection, data);
}

function onClose(this: WebSocket): void {
  const { connection, events } = own(this);
  if (!connection) return;
  connection.ended();
  events?.ended(connection);
}

/** ws closes the connection by itself after each error it reports; `close` above has told the client why. */
function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') own(this).events?.tooManyPieces();
}
