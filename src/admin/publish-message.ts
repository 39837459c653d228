/** Shared by the actions that publish. */
import type { Position } from '../channel/position.ts';
import { Publication } from '../channel/publication.ts';
import type { Subscription } from '../client/client.ts';
import { HubError } from '../platform/errors.ts';
import { maxKeyBytes } from '../relay/broker-link/frame.ts';
import type { Placed } from '../relay/broker-link/placement.ts';
import type { WorkerParts } from './action.ts';
import { keyRefusal } from './refusals.ts';

export interface Message {
  channel: string;
  /** JSON in UTF-8 */
  payload: Buffer;
  /** idempotency key; undefined: none */
  key: string | undefined;
}

/** Answer to a published message; the position is absent without history, or if it is no longer known. */
export interface Published {
  channel: string;
  epoch?: string;
  offset?: number;
}

/**
 * Publishes a message.
 * @param placed called with its position: at once with null without history, not at all if the broker dies meanwhile
 * @throws {HubError} the message cannot be published
 */
export function publishMessage(
  { hub, tracing, trace }: Pick<WorkerParts, 'hub' | 'tracing' | 'trace'>,
  { channel, payload, key }: Message,
  placed: Placed,
): void {
  const publication = new Publication<Subscription>(payload, 'http');
  const hasHistory = hub.optionsOf(channel).historySize > 0;
  if (key !== undefined && !hasHistory) throw keyRefusal();
  const { readAt } = publication;
  const span = trace === undefined ? null : tracing.publicationOf(trace, channel, readAt, payload.length);
  if (span) publication.trace(span.block);
  try {
    if (hasHistory) {
      hub.publish(channel, publication, {
        key: key ?? '',
        placed: ({ position }) => {
          placed(position);
        },
      });
    } else {
      hub.publish(channel, publication);
    }
    span?.end();
  } catch (error) {
    span?.end(error);
    throw error;
  }
  if (!hasHistory) placed(null);
}

/** Returns the answer to a published message. */
export function publishedAt(channel: string, position: Position | null): Published {
  return position ? { channel, epoch: position.epoch, offset: position.offset } : { channel };
}

export function badKey(name: string): HubError {
  return new HubError('bad_request', `${name} must have 1 to ${maxKeyBytes} bytes of UTF-8`);
}
