/**
 * A transport carries one client's bytes: a WebSocket today. Its connection is the client; what arrives is told to the
 * events of the worker.
 */
import type { CloseReason } from '../platform/close-reasons.ts';

/** What a client needs of its transport. */
export interface Transport {
  /** bytes that were written and that the kernel has not yet taken */
  readonly bufferedBytes: number;
  /** the peer of the TCP connection */
  readonly remoteAddress: string;
  /** Writes bytes that were framed for this transport. @returns bytes that wait for the kernel */
  write(bytes: Buffer): number;
  /** Asks the peer for a sign of life. */
  sendPing(): void;
  /** The frame that answers a ping of the peer. */
  pongFrame(data: Buffer): Buffer;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  /** Ends it with a code and a text of at most 123 bytes of UTF-8. */
  close(code: number, text: string): void;
  /** Ends it without a word. */
  terminate(): void;
}

/** The connection of a transport; client/client.ts fits. */
export interface Endpoint {
  readonly state: 'open' | 'closing' | 'closed';
  /** a ping was sent and nothing has arrived since */
  awaitsPong: boolean;
  /**
   * The part of a close that comes before the close frame, whichever side sends it.
   * @param reason null: the peer closes
   * @returns false if a close had begun before
   */
  beginClose(reason: CloseReason | null): boolean;
  /** Closes it by the hub's will. */
  close(reason: CloseReason): void;
  /** Collects the answers to what is handled until `release`, so that they leave in one write. */
  hold(): void;
  release(): void;
  /** Stops reading for the rest of this turn of the event loop. */
  pause(cause: 'turn'): void;
  resume(cause: 'turn'): void;
  /** The socket is gone. */
  ended(): void;
}

/** Called with what arrives; one object serves all connections of a worker. */
export interface TransportEvents<E extends Endpoint> {
  /** bytes of the longest message */
  readonly maxPayload: number;
  message(connection: E, data: Buffer, isBinary: boolean): void;
  /** The client asks for a pong. */
  ping(connection: E, data: Buffer): void;
  /** A pong arrived, asked for or not. */
  pong(connection: E, data: Buffer): void;
  /** A message came in too many pieces, or with too much between them; the connection is being closed. */
  tooManyPieces(): void;
  /**
   * The socket is gone. Last call of all.
   * @param code of the peer's close frame; 1006: none came (RFC 6455 section 7.1.5)
   */
  ended(connection: E, code: number): void;
}
