/**
 * ws's WebSocket with the hub's connection attached: references instead of closures per connection, and one place
 * through which every close passes, also those that ws begins by itself. Plain messages are read before ws sees them,
 * which saves 12 % of the CPU of the bench's pairs.
 *
 * The only file that depends on what ws does not document: the listener that it adds to a socket, its `_receiver`, its
 * calls of its own `close`, and how little of a request it reads. `supported` tells whether the installed ws still
 * behaves that way; where it does not, ws reads every frame itself and needs the request of node:http.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { duplexPair, Writable, type Duplex } from 'node:stream';
import { WebSocket, WebSocketServer, type Server, type ServerOptions } from 'ws';
import { endOnce, readBytes, readDirect, writeNow } from '../../platform/node-internals/raw-socket.ts';
import { fastPathsAllowed } from '../../platform/node-internals/switch.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import { copyOf, FrameReader } from './frame-reader.ts';
import { pingFrame, pongFrame } from './frame-writer.ts';
import type { Endpoint, Transport, TransportEvents } from '../transport.ts';

/** What may come along with the parts of a message, such as pongs, in bytes. */
const maxPadding = 256 * 1024;

/** Frames of one connection that are handled in one turn of the event loop, so that a flood leaves the others theirs. */
const maxFramesPerTurn = 256;

/** How ws listens to the bytes of a socket. */
type DataListener = (this: Duplex, chunk: Buffer) => void;

/** The part of ws that it does not document. */
interface WithReceiver {
  readonly _receiver?: Writable;
}

/** What ws reads of a request; node:http's IncomingMessage fits. */
export type HandshakeRequest = Partial<Pick<IncomingMessage, 'method' | 'headers'>>;

export interface WsServerOptions {
  /** bytes of the longest message */
  maxPayload: number;
  /** milliseconds after which a socket is destroyed whose peer does not answer the close frame */
  closeTimeout: number;
  maxFragments: number;
  maxBufferedChunks: number;
  /** Chooses the subprotocol that is answered. */
  handleProtocols: (offered: Set<string>) => string | false;
  /** Refuses a request that is no handshake. */
  refuse: (socket: Socket, error: Error) => void;
}

/** Makes handshakes; the sockets come from elsewhere. */
export class WsServer {
  readonly #server: Server<typeof WsAdapter>;

  constructor({ refuse, ...limits }: WsServerOptions) {
    // `closeTimeout` is documented by ws, but @types/ws 8.18 lacks it. Pongs are sent by the owner, within its limits.
    const options: ServerOptions<typeof WsAdapter> & Pick<WsServerOptions, 'closeTimeout'> = {
      ...limits,
      noServer: true,
      clientTracking: false,
      autoPong: false,
      WebSocket: WsAdapter,
    };
    this.#server = new WebSocketServer<typeof WsAdapter>(options);
    this.#server.on('wsClientError', (error: Error, socket: Socket) => {
      refuse(socket, error);
    });
  }

  /**
   * Answers the handshake.
   * @param request of node:http unless `supported`
   * @returns undefined: ws has refused the request, or the client is gone
   */
  upgrade(request: HandshakeRequest, socket: Socket, head: Buffer): WsAdapter | undefined {
    const { ws, onData } = handshake(this.#server, request, socket, head);
    if (!ws) return undefined;
    ws.socket = socket;
    if (supported) ws.wsOnData = onData;
    return ws;
  }
}

/** A socket with its WsAdapter; one symbol instead of a closure for each. */
const hubSocket = Symbol('hubSocket');
type Attached = Socket & { [hubSocket]: WsAdapter };

export class WsAdapter extends WebSocket implements Transport {
  /** set by the handshake */
  socket!: Socket;
  #connection: Endpoint | null = null;
  #events: TransportEvents<Endpoint> | null = null;
  readonly #reader = new FrameReader();
  /** ws's own listener, for what is not plain; null: ws reads everything by itself. Set by the handshake. */
  wsOnData: DataListener | null = null;
  /** what was read and waits for the next turn of the event loop; null: nothing */
  #rest: Buffer | null = null;
  /** messages handed out of what is being read */
  #texts = 0;
  /** the peer's close frame came, or something that breaks the protocol or the bound: nothing is read any more */
  #readingStopped = false;

  /** Attaches the connection, for life, right after ws has made the handshake. */
  attach(connection: Endpoint, events: TransportEvents<Endpoint>): void {
    const { socket } = this;
    this.#connection = connection;
    this.#events = events;
    this.on('message', onMessage);
    this.on('ping', onPing);
    this.on('pong', onPong);
    this.on('close', onClose);
    this.on('error', onError);
    Object.assign(socket, { [hubSocket]: this });
    const { wsOnData } = this;
    if (!wsOnData) {
      socket.on('data', onTracked);
      return;
    }
    const { _receiver } = this as WithReceiver;
    if (_receiver) endOnce(_receiver); // ws ends it two times more when it has ended
    readDirect(socket, onBytes);
    socket.off('data', wsOnData);
  }

  get bufferedBytes(): number {
    return this.socket.writableLength;
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? '';
  }

  write(bytes: Buffer): number {
    return writeNow(this.socket, bytes);
  }

  sendPing(): void {
    writeNow(this.socket, pingFrame);
  }

  pongFrame(data: Buffer): Buffer {
    return pongFrame(data);
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
      if (end > 0) this.wsOnData?.call(socket, rest.subarray(0, end));
      if (end < rest.length) this.#rest = rest.subarray(end);
    }
    this.#connection.release();
    this.#boundHeld();
    return this.#rest !== null;
  }

  /** ws has read these bytes by itself. */
  tracked(chunk: Buffer): void {
    if (this.#readingStopped) return;
    this.#reader.track(chunk);
    this.#boundHeld();
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

  get connection(): Endpoint | null {
    return this.#connection;
  }

  get events(): TransportEvents<Endpoint> | null {
    return this.#events;
  }

  /**
   * ws calls this with a code and no text when the peer broke the protocol (invalid UTF-8, too large, a bad
   * frame), and with the peer's own code and text, or with nothing, when the peer closes.
   */
  override close(code?: number, text?: string | Buffer): void {
    if (typeof text !== 'string') this.#readingStopped = true; // it is not the hub that closes
    const reason = code !== undefined && text === undefined ? violationOf(code) : null;
    if (this.readyState === WebSocket.OPEN) this.#connection?.beginClose(reason);
    super.close(code, text ?? reason ?? undefined);
  }
}

/** Why ws closes a connection by itself, by the code that it sends (RFC 6455 section 7.4.1). */
function violationOf(code: number): CloseReason {
  return code === 1007
    ? 'invalid_utf8'
    : code === 1009
      ? 'message_too_big'
      : code === 1008
        ? 'policy_violation'
        : 'protocol_error';
}

function onBytes(this: Socket, bytes: Buffer, length: number): void {
  (this as Attached)[hubSocket].received(this, bytes, length);
}

function onTracked(this: Socket, chunk: Buffer): void {
  (this as Attached)[hubSocket].tracked(chunk);
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

function onPing(this: WebSocket, data: Buffer): void {
  const { connection, events } = own(this);
  if (connection?.state === 'open') events?.ping(connection, data);
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

/** @returns also the listener by which ws reads the socket; null: it is not known which one that is */
function handshake<S extends typeof WebSocket>(
  server: Server<S>,
  request: HandshakeRequest,
  socket: Duplex,
  head: Buffer,
): { ws: InstanceType<S> | undefined; onData: DataListener | null } {
  const before = socket.listenerCount('data');
  const opened: InstanceType<S>[] = [];
  server.handleUpgrade(request as IncomingMessage, socket, head, (ws) => opened.push(ws)); // calls back before it returns
  const listeners = socket.listeners('data') as DataListener[];
  return { ws: opened[0], onData: (listeners.length === before + 1 && listeners.at(-1)) || null };
}

/** Whether ws behaves as this file needs it: found out by a handshake in memory, a text message and a close frame. */
export const supported: boolean = fastPathsAllowed && selfCheck();

function selfCheck(): boolean {
  let text = '';
  let closedWith: unknown[] = [];
  class Probe extends WebSocket {
    override close(...args: unknown[]): void {
      closedWith = args;
    }
  }
  const server = new WebSocketServer<typeof Probe>({
    noServer: true,
    clientTracking: false,
    WebSocket: Probe,
  });
  const [socket] = duplexPair();
  const key = 'AAAAAAAAAAAAAAAAAAAAAA==';
  const headers = { upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': key };
  try {
    const { ws, onData } = handshake(server, { method: 'GET', headers }, socket, Buffer.alloc(0));
    ws?.on('message', (data: Buffer) => (text = data.toString()));
    onData?.call(socket, Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    onData?.call(socket, Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
    const [code, reason] = closedWith;
    return (
      text === 'hi' &&
      code === 1000 &&
      Buffer.isBuffer(reason) &&
      (ws as WithReceiver)._receiver instanceof Writable
    );
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
