/**
 * The plain protocol as server-sent events. A message of the channel is an event without a name, with its position as id; the
 * hub's own messages are named after their `status`. It needs no close frame: the last event tells the code. After a final
 * code the id of that event marks the stream as closed, so that an EventSource that reconnects regardless can be stopped.
 */
import type { PresenceList, PresentMember } from '../../channel/member.ts';
import type { Position } from '../../channel/position.ts';
import type { Publication } from '../../channel/publication.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import type { ReconnectDelay } from '../protocol.ts';
import { addEvent, encodeEvent } from '../server-sent-events.ts';
import { closeCodes } from './close-codes.ts';
import {
  connectedMessage,
  drainingMessage,
  enveloped,
  errorMessage,
  memberMessage,
  presenceMessage,
  skippedMessage,
  type ChannelProtocol,
  type Connected,
} from './messages.ts';

/** Id of the last event of a stream that was closed for good; no position has this form. */
const closedId = /^closed=\d{4}$/;

/** Every connect resets the reconnection time that a drain has set; random, so that clients do not return together. */
const retryMinMs = 1_000;
const retryMaxMs = 4_000;

const nothing = Buffer.alloc(0);

export class EventStreamProtocol implements ChannelProtocol {
  readonly #hasEnvelope: boolean;

  constructor({ envelope = false } = {}) {
    this.#hasEnvelope = envelope;
  }

  publications(channel: string, publications: readonly Publication[]): Buffer {
    const parts: Buffer[] = [];
    for (const publication of publications) {
      if (publication.isNotice) {
        addEvent(parts, publication.payload, noticeFields(publication.payload));
        continue;
      }
      const { payload } = this.#hasEnvelope ? enveloped(channel, publication) : publication;
      addEvent(parts, payload, { id: idOf(publication.stored?.position) });
    }
    return Buffer.concat(parts);
  }

  connected(connected: Connected): Buffer {
    const retryMs = Math.round(retryMinMs + Math.random() * (retryMaxMs - retryMinMs));
    return encodeEvent(connectedMessage(connected), {
      event: 'connected',
      id: idOf(connected.position),
      retryMs,
    });
  }

  presence(list: PresenceList): Buffer {
    return encodeEvent(presenceMessage(list), { event: 'presence' });
  }

  joined(_channel: string, member: PresentMember): Buffer {
    return encodeEvent(memberMessage('joined', member), { event: 'joined' });
  }

  left(_channel: string, member: PresentMember): Buffer {
    return encodeEvent(memberMessage('left', member), { event: 'left' });
  }

  message(text: string): Buffer {
    return encodeEvent(text, {});
  }

  /** Clients of a stream send nothing, so none needs it. */
  error(code: ErrorCode, message?: string): Buffer {
    return encodeEvent(errorMessage(code, message), {});
  }

  skipped(count: number): Buffer {
    return encodeEvent(skippedMessage(count), { event: 'skipped' });
  }

  draining(reconnect: ReconnectDelay): Buffer {
    return encodeEvent(drainingMessage(reconnect), { event: 'draining' });
  }

  /** Nothing: `lastEvent` follows, also where a handler closes. */
  disconnected(): Buffer {
    return nothing;
  }

  closeCode(reason: CloseReason): number {
    return closeCodes[reason];
  }
}

/**
 * The event that ends a stream.
 * @param text the reason, and ` retry=<ms>` behind it where the hub says when to come back
 */
export function lastEvent(code: number, text: string, defaultRetryMs?: number): Buffer {
  const [, reason = text, digits] = /^(.*) retry=(\d+)$/.exec(text) ?? [];
  const retryMs = digits === undefined ? defaultRetryMs : Number(digits);
  return encodeEvent(JSON.stringify({ status: 'disconnected', reason, code }), {
    event: 'disconnected',
    ...(retryMs !== undefined && { retryMs }),
    ...(code >= 4000 && code < 4100 && { id: `closed=${code}` }),
  });
}

/** Whether an EventSource comes back to a stream that was closed for good. */
export function isClosedForGood(lastEventId: string): boolean {
  return closedId.test(lastEventId);
}

function idOf(position: Position | null | undefined): string | null {
  return position ? `${position.epoch}:${position.offset}` : null;
}

/** The hub's own messages to all subscribers are objects with a `status`. */
function noticeFields(payload: Buffer): { event?: string } {
  const { status } = JSON.parse(payload.toString()) as { status?: unknown };
  return typeof status === 'string' ? { event: status } : {};
}
