/**
 * Reads the frames that FrameReader leaves, with ws: messages in fragments, frames that arrive in pieces, and violations of the
 * protocol. ws gets a stream in place of the socket. It reads the bytes that are emitted there; it writes the response
 * to a handshake, which is dropped, and the close frame of a close by the peer.
 */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { CloseReason } from '../../platform/close-reasons.ts';

export interface WsReaderOptions {
  /** bytes of the longest message */
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
}

/** Called with the messages and closes of the peer. */
export interface WsReceiver {
  message(data: Buffer, isBinary: boolean): void;
  ping(data: Buffer): void;
  pong(data: Buffer): void;
  /**
   * The peer has sent a close frame.
   * @param body its code, two bytes, and its reason; empty: it has no code
   */
  peerClosed(body: Buffer): void;
  /** The peer has violated the protocol or a limit. Called in the same turn of the event loop, after `read`. */
  violated(reason: CloseReason, isTooManyPieces: boolean): void;
}

/** Documented by ws under "Error codes"; all others are `protocol_error`. */
const reasons: Readonly<Record<string, CloseReason>> = {
  WS_ERR_INVALID_UTF8: 'invalid_utf8',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'message_too_big',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'message_too_big',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'policy_violation',
};

/** A valid handshake. */
const request = Object.assign(new IncomingMessage(new Socket()), {
  method: 'GET',
  headers: {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  },
});
const noBytes = Buffer.alloc(0);
/** bytes before the payload of a short frame that is not masked */
const headerBytes = 2;

export class WsReaderFactory {
  readonly #server: WebSocketServer;

  constructor(limits: WsReaderOptions) {
    this.#server = new WebSocketServer({ ...limits, noServer: true, clientTracking: false, autoPong: false });
  }

  create(receiver: WsReceiver): WsReader {
    return new WsReader(this.#server, receiver);
  }
}

export class WsReader {
  readonly #stream = new Stand();
  readonly #receiver: WsReceiver;

  constructor(server: WebSocketServer, receiver: WsReceiver) {
    this.#receiver = receiver;
    // It calls back before it returns.
    server.handleUpgrade(request, this.#stream, noBytes, (ws) => {
      ws.on('message', (data, isBinary) => {
        receiver.message(data as Buffer, isBinary); // binaryType nodebuffer: one Buffer per message
      });
      ws.on('ping', (data) => {
        receiver.ping(data);
      });
      ws.on('pong', (data) => {
        receiver.pong(data);
      });
      ws.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
        receiver.violated(reasons[code] ?? 'protocol_error', code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS');
      });
    });
    this.#stream.written = [];
  }

  /** Reads received bytes. Messages and closes are reported before it returns. */
  read(bytes: Buffer): void {
    this.#stream.emit('data', bytes);
    const { written } = this.#stream;
    if (written.length === 0) return;
    this.#stream.written = [];
    this.#receiver.peerClosed(Buffer.concat(written).subarray(headerBytes));
  }

  /** Releases the resources of ws. */
  close(): void {
    this.#stream.destroy();
  }
}

/** Stands for a socket. */
class Stand extends Duplex {
  written: Buffer[] = [];

  override _read(): void {
    // Its bytes are emitted, because a stream would delay the first of them.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    done();
  }

  /** ws pauses for a moment after many bytes, but whole frames that follow must not overtake them. */
  override pause(): this {
    return this;
  }
}
