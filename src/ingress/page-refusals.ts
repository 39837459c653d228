/**
 * Tells web pages why they are refused. A browser hides the HTTP response to a handshake from its page, which sees 1006 for every
 * refusal, but it shows close codes. Such a client is accepted and closed at once: it joins no channel, its messages are not
 * handled, and it counts as rejected, not as a connection. The number of these sockets is limited.
 */
import { RefusedError, type ErrorCode, type HubError } from '../platform/errors.ts';
import { closeCodes } from '../protocol/plain/close-codes.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { disconnectedMessage } from '../protocol/plain/messages.ts';
import type { Endpoint, TransportEvents } from '../transport/transport.ts';
import { frameText } from '../transport/websocket/frame-writer.ts';
import type { WebSocketTransport } from '../transport/websocket/websocket-transport.ts';
import type { UpgradeRequest } from './handshake-parser.ts';

/** Maximum refused sockets that wait for the close frame of their peer. */
const maxOpen = 256;

export interface PageClose {
  reason: CloseReason;
  code: number;
}

const close = (reason: CloseReason, code: number = closeCodes[reason]): PageClose => ({ reason, code });

/** The close reasons of refusals; all others are invalid requests, answered with HTTP. */
const closes: Partial<Record<ErrorCode, PageClose>> = {
  unauthorized: close('unauthorized'),
  forbidden: close('forbidden'),
  too_many_connections: close('too_many_connections'),
  rate_limited: close('rate_limited', closeCodes.too_many_connections), // of connects, not of messages
  overloaded: close('overloaded'),
  too_many_connects: close('overloaded'),
  too_many_channels: close('overloaded'),
  unavailable: close('overloaded'),
  handler_failed: close('overloaded'),
};

/** Returns how a client is told of a refusal that it would see as a close; null: it is an invalid request. */
export function closeForRefusal({ code }: HubError): PageClose | null {
  return closes[code] ?? null;
}

export class PageRefusals {
  #open = 0;
  readonly #events: TransportEvents<Endpoint> = {
    maxPayload: 0,
    message: ignore,
    ping: ignore,
    pong: ignore,
    tooManyPieces: ignore,
    ended: () => (this.#open -= 1),
  };

  /** Returns whether one more socket may wait. */
  get hasRoom(): boolean {
    return this.#open < maxOpen;
  }

  /** Returns the close for a refused client; null: answer with HTTP. */
  closeFor({ headers }: Pick<UpgradeRequest, 'headers'>, error: HubError): PageClose | null {
    return headers.origin === undefined || !this.hasRoom ? null : closeForRefusal(error);
  }

  /** Closes a WebSocket that was opened for the refusal. A code of a user function precedes the close as a message. */
  close(transport: WebSocketTransport, close: PageClose, error: HubError): void {
    if (error instanceof RefusedError) transport.write(frameText(JSON.stringify(error.body)));
    transport.write(frameText(disconnectedMessage(close.reason, close.code)));
    this.closeSilently(transport, close);
  }

  /** Closes a WebSocket that was opened for the refusal, without a message. */
  closeSilently(transport: WebSocketTransport, { reason, code }: PageClose): void {
    this.#open += 1;
    transport.attach(refusedEndpoint, this.#events);
    transport.close(code, reason);
    transport.uncork();
  }
}

function ignore(): void {
  // The client is being closed.
}

/** Stands for all refused clients. */
const refusedEndpoint: Endpoint = {
  state: 'closing',
  awaitsPong: false,
  beginClose: () => false,
  close: ignore,
  hold: ignore,
  release: ignore,
  pause: ignore,
  resume: ignore,
  ended: ignore,
};
