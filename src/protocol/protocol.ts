/**
 * A protocol turns what the hub has to say into the bytes that a client reads, and neutral close reasons into codes of its
 * own. It holds no state of a client: one object serves all clients that speak alike.
 */
import type { PublicationEncoder } from '../channel/channel.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';

/** How a transport delimits whole messages; each transport has one. */
export interface Framing {
  /** One message. */
  frame(text: string): Buffer;
  /** All payloads, in order, as one buffer. */
  frameAll(publications: readonly { readonly payload: Buffer }[]): Buffer;
}

/** When a client may come back: after a random time between these two, in milliseconds. */
export interface ReconnectDelay {
  readonly minMs: number;
  readonly maxMs: number;
}

export interface Protocol extends PublicationEncoder {
  /** A message of a handler's own to one client; JSON. */
  message(text: string): Buffer;
  /** The answer to a client's message that was not accepted. */
  error(code: ErrorCode, message?: string): Buffer;
  /** So many publications were left out for this client, which had fallen behind. */
  skipped(count: number): Buffer;
  /** The worker is about to end. */
  draining(reconnect: ReconnectDelay): Buffer;
  /** Sent right before the close frame. */
  disconnected(reason: CloseReason): Buffer;
  closeCode(reason: CloseReason): number;
}
