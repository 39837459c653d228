/** What the actions that publish share: publication, its position in the history, and the limit on waiting for it. */
import { Publication } from '../channel/publication.ts';
import type { Subscription } from '../client/client.ts';
import type { Hub } from '../hub.ts';
import { HubError } from '../platform/errors.ts';
import { maxKeyBytes } from '../relay/broker-link/frame.ts';
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
 * @param placed called later with the answer for a channel with history, if the broker does not die meanwhile
 * @returns the answer for a channel without history; null: `placed` gets it
 * @throws {HubError} the message cannot be published
 */
export function publishMessage(
  hub: Hub,
  { channel, payload, key }: Message,
  placed: (published: Published) => void,
): Published | null {
  const publication = new Publication<Subscription>(payload, 'http');
  if (hub.optionsOf(channel).historySize === 0) {
    if (key !== undefined) throw keyRefusal();
    hub.publish(channel, publication);
    return { channel };
  }
  hub.publish(channel, publication, {
    key: key ?? '',
    placed: ({ position }) => {
      placed(position ? { channel, epoch: position.epoch, offset: position.offset } : { channel });
    },
  });
  return null;
}

export function badKey(name: string): HubError {
  return new HubError('bad_request', `${name} must have 1 to ${maxKeyBytes} bytes of UTF-8`);
}

export function outcomeUnknown(): HubError {
  const message =
    'the broker did not answer in time; outcome unknown: the message may be stored, or may still be';
  return new HubError('worker_timeout', message);
}

/** Resolves with the promise. @throws {HubError} as a rejection: `outcomeUnknown` after `timeoutMs` */
export async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(outcomeUnknown());
    }, timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
