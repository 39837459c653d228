/** Opens WebSockets that have the same limits. */
import type { Socket } from 'node:net';
import { handshakeResponse, type ValidHandshake } from './handshake-response.ts';
import { WebSocketTransport, type WebSocketOptions } from './websocket-transport.ts';
import { WsReaderFactory } from './ws-reader.ts';

export interface WebSocketLimits {
  /** bytes of the longest message */
  readonly maxPayload: number;
  /** most fragments of a message, and most pieces in which a short one may arrive */
  readonly maxMessagePieces: number;
  /** see WebSocketOptions */
  readonly closeTimeoutMs: number;
}

/** A valid handshake that has not been answered. */
export interface WebSocketUpgrade {
  readonly socket: Socket;
  /** bytes that followed the request */
  readonly head: Buffer;
  readonly handshake: ValidHandshake;
}

export class WebSocketServer {
  readonly #options: WebSocketOptions;

  constructor({ maxPayload, maxMessagePieces, closeTimeoutMs }: WebSocketLimits) {
    const wsReaders = new WsReaderFactory({
      maxPayload,
      // ws keeps an incomplete message in the pieces in which it arrived. A piece costs about 130 bytes, however
      // small, and keeps its whole chunk in memory (WebSocketTransport limits the chunks). Real messages arrive in
      // TCP segments of 500 bytes and more, and in few fragments.
      maxFragments: maxMessagePieces,
      maxBufferedChunks: maxMessagePieces + Math.ceil(maxPayload / 256),
    });
    this.#options = { closeTimeoutMs, wsReaders };
  }

  /**
   * Opens a WebSocket. The response leaves with `uncork`.
   * @param protocol the selected subprotocol; null: none
   * @returns null: the client has disconnected
   */
  open({ socket, head, handshake }: WebSocketUpgrade, protocol: string | null): WebSocketTransport | null {
    if (!socket.readable || !socket.writable) {
      socket.destroy();
      return null;
    }
    return new WebSocketTransport(socket, handshakeResponse(handshake, protocol), head, this.#options);
  }
}
