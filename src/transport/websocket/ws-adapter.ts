/**
 * The WebSocket class of ws with a client attached. References replace closures per connection, and every close
 * passes through one method, also the closes that ws begins. Plain messages are read before ws sees them, which saves
 * 12 % of the CPU of the bench's pairs.
 *
 * This is the only file that depends on undocumented behaviour of ws: the listener that it adds to a socket, its
 * `_receiver`, its calls of its own `close`, and the parts of a request that it reads. `supported` tells whether the
 * installed ws still behaves that way. If not, ws reads every frame and needs a request of node:http.
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

/** Most bytes, such as pongs, that may arrive between the parts of a message. */
const maxPadding = 256 * 1024;

/** Most frames of one connection in one turn of the event loop, so that a flood does not delay other clients. */
const maxFramesPerTurn = 256;

/** The listener of ws for the bytes of a socket. */
type DataListener = (this: Duplex, chunk: Buffer) => void;

/** The undocumented part of ws. */
interface WithReceiver {
  readonly _receiver?: Writable;
}

/** The parts of a request that ws reads; the IncomingMessage of node:http has them. */
export type HandshakeRequest = Partial<Pick<IncomingMessage, 'method' | 'headers'>>;

export interface WsServerOptions {
  /** bytes of the longest message */
  maxPayload: number;
  /** milliseconds until a socket is destroyed if the peer does not answer the close frame */
  closeTimeout: number;
  maxFragments: number;
  maxBufferedChunks: number;
  /** Chooses the subprotocol of the response. */
  handleProtocols: (offered: Set<string>) => string | false;
  /** Refuses a request that is not a handshake. */
  refuse: (socket: Socket, error: Error) => void;
}

/** Answers handshakes on given sockets. */
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
   * @param request must be of node:http unless `supported`
   * @returns undefined: ws has refused the request, or the client has disconnected
   */
  upgrade(request: HandshakeRequest, socket: Socket, head: Buffer): WsAdapter | undefined {
    const { ws, onData } = handshake(this.#server, request, socket, head);
    if (!ws) return undefined;
    ws.socket = socket;
    if (supported) ws.wsOnData = onData;
    return ws;
  }
}

/** Key of the WsAdapter on its socket; one symbol instead of a closure per socket. */
const hubSocket = Symbol('hubSocket');
type Attached = Socket & { [hubSocket]: WsAdapter };

export class WsAdapter extends WebSocket implements Transport {
  /** set by the handshake */
  socket!: Socket;
  #connection: Endpoint | null = null;
  #events: TransportEvents<Endpoint> | null = null;
  readonly #reader = new FrameReader();
  /** the listener of ws, for frames that are not plain; null: ws reads all frames. Set by the handshake. */
  wsOnData: DataListener | null = null;
  /** received bytes that wait for the next turn of the event loop; null: none */
  #rest: Buffer | null = null;
  /** number of plain messages in the bytes that are being read */
  #texts = 0;
  /** a close frame, a protocol violation or too many pieces were received: nothing more is read */
  #readingStopped = false;

  /** Attaches the connection, right after the handshake. Called once. */
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
    if (_receiver) endOnce(_receiver); // ws ends it twice more after its end
    readDirect(socket, onBytes);
    socket.off('data', wsOnData);
  }

  /** Lets what was written since the handshake leave. */
  uncork(): void {
    this.socket.uncork();
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

  /** Handles received bytes; see `readDirect`. */
  received(socket: Socket, bytes: Buffer, length: number): void {
    if (this.#rest !== null) {
      // The hub is closing the connection, and has therefore resumed reading.
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, length)]);
      return;
    }
    const isLeft = this.#read(socket, bytes, length);
    // libuv reads again when its buffer was filled, up to 32 times in one turn.
    if (isLeft || length >= readBytes) this.#yield(socket);
  }

  /** Continues in the next turn of the event loop, and reads nothing until then. */
  #yield(socket: Socket): void {
    this.#connection?.pause('turn');
    setImmediate(() => {
      const rest = this.#rest;
      this.#rest = null;
      if (rest !== null && this.#read(socket, rest, rest.length)) this.#yield(socket);
      else this.#connection?.resume('turn');
    });
  }

  /**
   * Handles received bytes, up to the limit of frames per turn.
   * @returns whether bytes are left in `#rest`
   */
  #read(socket: Socket, bytes: Buffer, length: number): boolean {
    if (this.#readingStopped || !this.#events || !this.#connection) return false;
    const { maxPayload } = this.#events;
    // During a close, messages are dropped and only the close frame matters.
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

  /** Follows bytes that ws has read. */
  tracked(chunk: Buffer): void {
    if (this.#readingStopped) return;
    this.#reader.track(chunk);
    this.#boundHeld();
  }

  /** Closes a connection whose message arrives in too many pieces, or with too many bytes between them. */
  #boundHeld(): void {
    if (!this.#events || this.#reader.heldBytes <= this.#events.maxPayload + maxPadding) return;
    this.#readingStopped = true; // also during a close
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
   * Called by ws
   * - with a code and no text, if the peer violated the protocol (invalid UTF-8, too large, a bad frame)
   * - with the code and text of the peer, or with nothing, if the peer closes
   */
  override close(code?: number, text?: string | Buffer): void {
    if (typeof text !== 'string') this.#readingStopped = true; // not a close by the hub
    const reason = code !== undefined && text === undefined ? violationOf(code) : null;
    if (this.readyState === WebSocket.OPEN) this.#connection?.beginClose(reason);
    super.close(
      reason === null ? code : (this.#connection?.closeCode(reason) ?? code),
      text ?? reason ?? undefined,
    );
  }
}

/** Returns the reason for which ws closes a connection, by the code that it sends (RFC 6455 section 7.4.1). */
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

/** ws closes the connection after each error that it reports; `close` above has sent the reason to the client. */
function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') own(this).events?.tooManyPieces();
}

/**
 * Runs the handshake of ws.
 * @returns `onData`: the listener by which ws reads the socket; null: it cannot be identified
 */
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

/** Whether ws behaves as this file requires, tested by a handshake in memory, a text message and a close frame. */
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
