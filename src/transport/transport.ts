/**
 * A transport carries the bytes of one client: a WebSocket, or the response to an HTTP request. Its endpoint is the
 * client. It reports received data to the events of the worker.
 */
import type { CloseReason } from '../platform/close-reasons.ts';

/** The part of a transport that a client uses. */
export interface Transport {
  /** bytes that were written and not yet accepted by the kernel */
  readonly bufferedBytes: number;
  /** the peer of the TCP connection */
  readonly remoteAddress: string;
  /**
   * Writes framed bytes.
   * @returns bytes that the kernel has not accepted
   */
  write(bytes: Buffer): number;
  /** Sends a ping. */
  sendPing(): void;
  /** Returns the frame that answers a ping. */
  pongFrame(data: Buffer): Buffer;
  /** Pauses reading. */
  pause(): void;
  resume(): void;
  /**
   * Sends a close frame.
   * @param text at most 123 bytes of UTF-8
   */
  close(code: number, text: string): void;
  /** Destroys the connection without a close frame. */
  terminate(): void;
}

/** The owner of a transport; client/client.ts implements it. */
export interface Endpoint {
  readonly state: 'open' | 'closing' | 'closed';
  /** a ping was sent, and nothing was received since */
  awaitsPong: boolean;
  /**
   * Does the part of a close that precedes the close frame, whichever side sends it.
   * @param reason null: the peer closes
   * @returns false: a close had already begun
   */
  beginClose(reason: CloseReason | null): boolean;
  /** Closes the connection on behalf of the hub. */
  close(reason: CloseReason): void;
  /** Collects the answers to received messages until `release`, so that they leave in one write. */
  hold(): void;
  release(): void;
  /** Pauses reading for the rest of this turn of the event loop. */
  pause(cause: 'turn'): void;
  resume(cause: 'turn'): void;
  /** The socket has closed. */
  ended(): void;
}

/** Called with received data; one object serves all connections of a worker. */
export interface TransportEvents<E extends Endpoint> {
  /** bytes of the longest message */
  readonly maxPayload: number;
  message(connection: E, data: Buffer, isBinary: boolean): void;
  /** Called with a ping, which must be answered with a pong. */
  ping(connection: E, data: Buffer): void;
  /** Called with a pong, expected or not. */
  pong(connection: E, data: Buffer): void;
  /** A message arrived in too many pieces, or with too many bytes between them; the connection is being closed. */
  tooManyPieces(): void;
  /**
   * The socket has closed. The last call.
   * @param code code of the close frame of the peer; 1006: none was received (RFC 6455 section 7.1.5)
   */
  ended(connection: E, code: number): void;
}
