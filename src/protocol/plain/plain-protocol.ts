/**
 * The plain protocol over any transport: messages of the hub are JSON. Publications are the unchanged bytes or, if
 * the client requested it, wrapped in an envelope.
 */
import type { PresenceList, PresentMember } from '../../channel/member.ts';
import type { Publication } from '../../channel/publication.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import type { Framing, ReconnectDelay } from '../protocol.ts';
import { closeCodes } from './close-codes.ts';
import {
  connectedMessage,
  disconnectedMessage,
  drainingMessage,
  enveloped,
  errorMessage,
  memberMessage,
  presenceMessage,
  skippedMessage,
  type ChannelProtocol,
  type Connected,
} from './messages.ts';

export class PlainProtocol implements ChannelProtocol {
  readonly #framing: Framing;
  /** encoded errors without a message, because floods of invalid messages are answered with them */
  readonly #errors = new Map<ErrorCode, Buffer>();

  readonly #hasEnvelope: boolean;

  constructor(framing: Framing, { envelope = false } = {}) {
    this.#framing = framing;
    this.#hasEnvelope = envelope;
  }

  publications(channel: string, publications: readonly Publication[]): Buffer {
    if (!this.#hasEnvelope) return this.#framing.frameAll(publications);
    return this.#framing.frameAll(publications.map((publication) => enveloped(channel, publication)));
  }

  connected(connected: Connected): Buffer {
    return this.#framing.frame(connectedMessage(connected));
  }

  presence(list: PresenceList): Buffer {
    return this.#framing.frame(presenceMessage(list));
  }

  joined(_channel: string, member: PresentMember): Buffer {
    return this.#framing.frame(memberMessage('joined', member));
  }

  left(_channel: string, member: PresentMember): Buffer {
    return this.#framing.frame(memberMessage('left', member));
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
