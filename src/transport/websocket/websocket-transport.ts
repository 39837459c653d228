/**
 * A WebSocket directly on its socket (RFC 6455). Whole frames are read here; ws reads all others, for which it is
 * created when the first of them arrives (ws-reader.ts). Most clients never send one: an idle connection needs 4.6 KB
 * of user memory instead of 5.3, and a connection of the bench's churn costs 10 % less CPU.
 */
import type { Socket } from 'node:net';
import { readBytes, readDirect, writeNow } from '../../platform/node-internals/raw-socket.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { Endpoint, Transport, TransportEvents } from '../transport.ts';
import { copyOf, FrameReader, type FrameReceiver } from './frame-reader.ts';
import { closeBody, closeFrame, pingFrame, pongFrame } from './frame-writer.ts';
import { WsReader, type WsReaderFactory, type WsReceiver } from './ws-reader.ts';

/** Most bytes, such as pongs, that may arrive between the parts of a message. */
const maxPadding = 256 * 1024;

/** Most frames of one connection in one turn of the event loop, so that a flood does not delay other clients. */
const maxFramesPerTurn = 256;

/** Codes that no close frame has (RFC 6455 section 7.1.5): it had no code, or there was none. */
const noCode = 1005;
const noCloseFrame = 1006;

export interface WebSocketOptions {
  /** milliseconds until a socket is destroyed if the peer does not answer the close frame, or does not close */
  readonly closeTimeoutMs: number;
  readonly wsReaders: WsReaderFactory;
}

/** Key of the transport on its socket; one symbol instead of a closure per socket. */
const owner = Symbol('transport');
type OwnedSocket = Socket & { [owner]: WebSocketTransport };

export class WebSocketTransport implements Transport, FrameReceiver, WsReceiver {
  readonly #socket: Socket;
  readonly #options: WebSocketOptions;
  readonly #reader = new FrameReader();
  #connection: Endpoint | null = null;
  #events: TransportEvents<Endpoint> | null = null;
  /** bytes that wait for `uncork`; null: none wait */
  #corked: Buffer[] | null;
  /** null: all frames were whole */
  #ws: WsReader | null = null;
  /** received bytes that wait for the next turn of the event loop; null: none */
  #rest: Buffer | null = null;
  /** number of whole frames in the bytes that are being read */
  #frames = 0;
  /** a close frame, a protocol violation or too many pieces were received: nothing more is read */
  #readingStopped = false;
  #closeSent = false;
  #ended = false;
  /** the code of the close frame of the peer */
  #peerCode = noCloseFrame;
  #closeTimer: NodeJS.Timeout | null = null;

  /**
   * @param response the response to the handshake; it leaves with `uncork`, together with what is written until then
   * @param head bytes that followed the request
   */
  constructor(socket: Socket, response: Buffer, head: Buffer, options: WebSocketOptions) {
    this.#socket = socket;
    this.#corked = [response];
    this.#options = options;
    if (head.length > 0) socket.unshift(head);
  }

  /** Attaches the connection, and begins to read. Called once. */
  attach(connection: Endpoint, events: TransportEvents<Endpoint>): void {
    const socket = this.#socket;
    this.#connection = connection;
    this.#events = events;
    (socket as OwnedSocket)[owner] = this;
    socket.on('error', ignore); // `close` follows
    socket.on('end', onEnd);
    socket.on('close', onClose);
    readDirect(socket, onBytes);
  }

  uncork(): void {
    const bytes = this.#corked;
    this.#corked = null;
    if (bytes) this.write(Buffer.concat(bytes));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  write(bytes: Buffer): number {
    if (this.#corked === null) return writeNow(this.#socket, bytes);
    this.#corked.push(bytes);
    return 0;
  }

  sendPing(): void {
    this.write(pingFrame);
  }

  pongFrame(data: Buffer): Buffer {
    return pongFrame(data);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(code: number, text: string): void {
    this.#close(closeBody(code, text));
  }

  terminate(): void {
    this.#socket.destroy();
  }

  /** Handles received bytes; see `readDirect`. */
  received(bytes: Buffer, length: number): void {
    if (this.#rest !== null) {
      // The hub is closing the connection, and has therefore resumed reading.
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, length)]);
      return;
    }
    const isLeft = this.#read(bytes, length);
    // libuv reads again when its buffer was filled, up to 32 times in one turn.
    if (isLeft || length >= readBytes) this.#yield();
  }

  /** Ends the connection: the peer has ended its side, or closing frames were exchanged. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.end();
  }

  /** The socket has closed. */
  closed(): void {
    if (this.#closeTimer) clearTimeout(this.#closeTimer);
    const left = this.#socket.readableLength > 0 ? (this.#socket.read() as Buffer | null) : null;
    if (left) this.#read(left, left.length); // reading was paused
    this.#ws?.close();
    if (!this.#connection) return;
    this.#connection.ended();
    this.#events?.ended(this.#connection, this.#peerCode);
  }

  /** Continues in the next turn of the event loop, and reads nothing until then. */
  #yield(): void {
    this.#connection?.pause('turn');
    setImmediate(() => {
      const rest = this.#rest;
      this.#rest = null;
      if (rest !== null && this.#read(rest, rest.length)) this.#yield();
      else this.#connection?.resume('turn');
    });
  }

  /**
   * Handles received bytes, up to the limit of frames per turn.
   * @returns whether bytes are left in `#rest`
   */
  #read(bytes: Buffer, length: number): boolean {
    if (this.#readingStopped || !this.#events || !this.#connection) return false;
    const { maxPayload } = this.#events;
    // During a close, messages are dropped and only the close frame matters.
    const max = this.#connection.state === 'open' ? maxFramesPerTurn : Infinity;
    this.#frames = 0;
    this.#connection.hold();
    const at = this.#reader.readWhole(bytes, length, maxPayload, this, max);
    if (at < length) {
      const rest = copyOf(bytes, at, length); // ws may keep it
      const end = this.#frames < max ? this.#reader.track(rest, max - this.#frames) : 0;
      if (end > 0) (this.#ws ??= this.#options.wsReaders.create(this)).read(rest.subarray(0, end));
      if (end < rest.length) this.#rest = rest.subarray(end);
    }
    this.#connection.release();
    this.#boundHeld();
    return this.#rest !== null;
  }

  /** Closes a connection whose message arrives in too many pieces, or with too many bytes between them. */
  #boundHeld(): void {
    if (!this.#events || this.#reader.heldBytes <= this.#events.maxPayload + maxPadding) return;
    this.#readingStopped = true; // also during a close
    if (this.#connection?.state !== 'open') return;
    this.#events.tooManyPieces();
    this.#connection.close('policy_violation');
  }

  // FrameReceiver and WsReceiver

  message(data: Buffer, isBinary: boolean): void {
    this.#frames += 1;
    const connection = this.#connection;
    if (connection?.state !== 'open') return;
    connection.awaitsPong = false;
    this.#events?.message(connection, data, isBinary);
  }

  ping(data: Buffer): void {
    this.#frames += 1;
    const connection = this.#connection;
    if (connection?.state === 'open') this.#events?.ping(connection, data);
  }

  pong(data: Buffer): void {
    this.#frames += 1;
    const connection = this.#connection;
    if (connection?.state !== 'open') return;
    connection.awaitsPong = false;
    this.#events?.pong(connection, data);
  }

  peerClosed(body: Buffer): void {
    this.#readingStopped = true;
    this.#peerCode = body.length === 0 ? noCode : body.readUInt16BE(0);
    this.#connection?.beginClose(null);
    this.#close(body);
    this.end();
  }

  violated(reason: CloseReason, isTooManyPieces: boolean): void {
    this.#readingStopped = true;
    if (isTooManyPieces) this.#events?.tooManyPieces();
    this.#connection?.close(reason);
    this.end();
  }

  /** Sends a close frame, unless one was sent. */
  #close(body: Buffer): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.write(closeFrame(body));
    this.#closeTimer = setTimeout(destroy, this.#options.closeTimeoutMs, this.#socket);
  }
}

function ignore(): void {
  // the socket is destroyed
}

function destroy(socket: Socket): void {
  socket.destroy();
}

function onBytes(this: Socket, bytes: Buffer, length: number): void {
  (this as OwnedSocket)[owner].received(bytes, length);
}

function onEnd(this: Socket): void {
  (this as OwnedSocket)[owner].end();
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[owner].closed();
}
