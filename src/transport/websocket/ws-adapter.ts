/**
 * ws's WebSocket with the hub's connection attached: references instead of closures per connection, and one place
 * through which every close passes, also those that ws begins by itself. Plain messages are read before ws sees them.
 */
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { endOnce, readBytes, readDirect } from '../../platform/node-internals/raw-socket.ts';
import { closeReason } from '../../protocol/plain/close-codes.ts';
import { copyOf, FrameReader } from './frame-reader.ts';
import type { Client } from '../../client/client.ts';

/** What becomes of a connection's messages; one object serves all connections of a worker. */
export interface ClientEvents {
  /** bytes of the longest message */
  readonly maxPayload: number;
  message(connection: Client, data: Buffer, isBinary: boolean): void;
  /** The client asks for a pong. */
  ping(connection: Client, data: Buffer): void;
  /** A pong came, asked for or not. */
  pong(connection: Client, data: Buffer): void;
  /** A message came in more pieces than one may, or with too much between them; the connection is being closed. */
  tooManyPieces(): void;
  /**
   * Its socket is gone. Last call of all.
   * @param code of the peer's close frame; 1006: none came (RFC 6455 section 7.1.5)
   */
  ended(connection: Client, code: number): void;
}

/** What may come along with the parts of a message, such as pongs, in bytes. */
const maxPadding = 256 * 1024;

/** Frames of one connection that are handled in one turn of the event loop, so that a flood leaves the others theirs. */
const maxFramesPerTurn = 256;

/** How ws listens to the bytes of a socket. */
type DataListener = (this: Socket, chunk: Buffer) => void;

/** The part of ws that it does not document; where it is missing, all is as it was. */
interface WithReceiver {
  readonly _receiver?: Writable;
}

/** A socket with its WsAdapter; one symbol instead of a closure for each. */
const hubSocket = Symbol('hubSocket');
type Attached = Socket & { [hubSocket]: WsAdapter };

export class WsAdapter extends WebSocket {
  #connection: Client | null = null;
  #events: ClientEvents | null = null;
  readonly #reader = new FrameReader();
  /** ws's own listener, for what is not plain */
  #wsOnData: DataListener | null = null;
  /** what was read and waits for the next turn of the event loop; null: nothing */
  #rest: Buffer | null = null;
  /** messages handed out of what is being read */
  #texts = 0;
  /** the peer's close frame came, or something that breaks the protocol or the bound: nothing is read any more */
  #readingStopped = false;

  /** Attaches the connection, for life, right after ws has made the handshake over that socket. */
  attach(connection: Client, socket: Socket, events: ClientEvents): void {
    this.#connection = connection;
    this.#events = events;
    this.on('message', onMessage);
    this.on('pong', onPong);
    this.on('close', onClose);
    this.on('error', onError);
    const { _receiver } = this as WithReceiver;
    if (_receiver) endOnce(_receiver); // ws ends it two times more when it has ended
    const wsOnData = socket.listeners('data').at(-1) as DataListener | undefined;
    if (!wsOnData) return; // then ws reads everything, in its own way
    this.#wsOnData = wsOnData;
    Object.assign(socket, { [hubSocket]: this });
    readDirect(socket, onBytes);
    socket.off('data', wsOnData);
  }

  /** Bytes have come from the peer; see Take. */
  received(socket: Socket, bytes: Buffer, length: number): void {
    if (this.#rest !== null) {
      // The hub closes it meanwhile, and has therefore begun to read again.
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, length)]);
      return;
    }
    const isLeft = this.#read(socket, bytes, length);
    // libuv goes on reading what fills its buffer, up to 32 times in one turn.
    if (isLeft || length >= readBytes) this.#yield(socket);
  }

  /** Goes on in the next turn of the event loop, and reads no more until then. */
  #yield(socket: Socket): void {
    this.#connection?.pause('turn');
    setImmediate(() => {
      const rest = this.#rest;
      this.#rest = null;
      if (rest !== null && this.#read(socket, rest, rest.length)) this.#yield(socket);
      else this.#connection?.resume('turn');
    });
  }

  /** Handles what came, up to a bound. @returns whether something is left, in `#rest` */
  #read(socket: Socket, bytes: Buffer, length: number): boolean {
    if (this.#readingStopped || !this.#events || !this.#connection) return false;
    const { maxPayload } = this.#events;
    // While it is being closed its messages are left out, and only its close frame is waited for.
    const max = this.#connection.state === 'open' ? maxFramesPerTurn : Infinity;
    this.#texts = 0;
    this.#connection.hold();
    const at = this.#reader.readPlain(bytes, length, maxPayload, this, max);
    if (at < length) {
      const rest = copyOf(bytes, at, length); // ws may keep it
      const end = this.#texts < max ? this.#reader.track(rest, max - this.#texts) : 0;
      if (end > 0) this.#wsOnData?.call(socket, rest.subarray(0, end));
      if (end < rest.length) this.#rest = rest.subarray(end);
    }
    this.#connection.release();
    this.#boundHeld();
    return this.#rest !== null;
  }

  /** Ends a connection whose message comes in too many pieces, or with too much between them. */
  #boundHeld(): void {
    if (!this.#events || this.#reader.heldBytes <= this.#events.maxPayload + maxPadding) return;
    this.#readingStopped = true; // also while it is being closed
    if (this.#connection?.state !== 'open') return;
    this.#events.tooManyPieces();
    this.#connection.close('policy_violation');
  }

  /** see TextReceiver */
  text(payload: Buffer): void {
    this.#texts += 1;
    onMessage.call(this, payload, false);
  }

  get connection(): Client | null {
    return this.#connection;
  }

  get events(): ClientEvents | null {
    return this.#events;
  }

  /**
   * ws calls this with a code and no text when the peer broke the protocol (invalid UTF-8, too large, a bad
   * frame), and with the peer's own code and text, or with nothing, when the peer closes.
   */
  override close(code?: number, text?: string | Buffer): void {
    if (typeof text !== 'string') this.#readingStopped = true; // it is not the hub that closes
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

function onBytes(this: Socket, bytes: Buffer, length: number): void {
  (this as Attached)[hubSocket].received(this, bytes, length);
}

/** ws calls a listener with the socket as `this`, and types it as its own class. */
function own(socket: WebSocket): WsAdapter {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- `attach` added the listener
  return socket as WsAdapter;
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

function onClose(this: WebSocket, code: number): void {
  const { connection, events } = own(this);
  if (!connection) return;
  connection.ended();
  events?.ended(connection, code);
}

/** ws closes the connection by itself after each error it reports; `close` above has told the client why. */
function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') own(this).events?.tooManyPieces();
}
