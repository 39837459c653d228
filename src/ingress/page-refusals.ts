/**
 * Tells web pages why they are refused. A browser hides the HTTP answer to a handshake from its page, which sees 1006 for
 * every refusal; a close code it does see. Such a client is accepted and closed at once: it joins no channel, no message
 * of it is handled, and it counts as rejected, not as a connection. The number of these sockets is bounded.
 */
import type { WebSocket } from 'ws';
import type { ErrorCode, HubError } from '../platform/errors.ts';
import { closeCodes } from '../protocol/plain/close-codes.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { disconnectedMessage } from '../protocol/plain/messages.ts';
import type { UpgradeRequest } from './handshake-parser.ts';

/** Refused sockets that may wait for their peer's close frame at once. */
const maxOpen = 256;

interface PageClose {
  reason: CloseReason;
  code: number;
}

const close = (reason: CloseReason, code: number = closeCodes[reason]): PageClose => ({ reason, code });

/** The close for each refusal that a page is told of; all others are wrong requests and stay HTTP. */
const closes: Partial<Record<ErrorCode, PageClose>> = {
  unauthorized: close('unauthorized'),
  forbidden: close('forbidden'),
  too_many_connections: close('too_many_connections'),
  rate_limited: close('rate_limited', closeCodes.too_many_connections), // of connects, not of messages
  overloaded: close('overloaded'),
  too_many_connects: close('overloaded'),
  too_many_channels: close('overloaded'),
  unavailable: close('overloaded'),
};

export class PageRefusals {
  #open = 0;

  /** The close that tells the client of the refusal; null: it is answered with HTTP. */
  closeFor({ headers }: Pick<UpgradeRequest, 'headers'>, { code }: HubError): PageClose | null {
    return headers.origin === undefined || this.#open >= maxOpen ? null : (closes[code] ?? null);
  }

  /** Closes a WebSocket that has just been opened for this. */
  close(ws: WebSocket, { reason, code }: PageClose): void {
    this.#open += 1;
    ws.on('error', ignore);
    ws.once('close', () => (this.#open -= 1));
    ws.send(disconnectedMessage(reason, code));
    ws.close(code, reason);
  }
}

function ignore(): void {
  // Whatever the client does wrong now, it is being closed.
}
