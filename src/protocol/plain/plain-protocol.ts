/** The plain protocol over any transport: what the hub says is JSON, publications are the bytes as they were sent. */
import type { Publication } from '../../channel/publication.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import type { Framing, Protocol, ReconnectDelay } from '../protocol.ts';
import { closeCodes } from './close-codes.ts';
import { disconnectedMessage, drainingMessage, errorMessage, skippedMessage } from './messages.ts';

export class PlainProtocol implements Protocol {
  readonly #framing: Framing;
  /** errors without a message of their own, framed once: floods are answered with them */
  readonly #errors = new Map<ErrorCode, Buffer>();

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  publications(_channel: string, publications: readonly Publication[]): Buffer {
    return this.#framing.frameAll(publications);
  }

  message(text: string): Buffer {
    return this.#framing.frame(text);
  }

  error(code: ErrorCode, message?: string): Buffer {
    if (message !== undefined) return this.#framing.frame(errorMessage(code, message));
    let error = this.#errors.get(code);
    if (!error) this.#errors.set(code, (error = this.#framing.frame(errorMessage(code))));
    return error;
  }

  skipped(count: number): Buffer {
    return this.#framing.frame(skippedMessage(count));
  }

  draining(reconnect: ReconnectDelay): Buffer {
    return this.#framing.frame(drainingMessage(reconnect));
  }

  disconnected(reason: CloseReason): Buffer {
    return this.#framing.frame(disconnectedMessage(reason));
  }

  closeCode(reason: CloseReason): number {
    return closeCodes[reason];
  }
}
