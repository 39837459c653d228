/** Commands of back ends to the session of a client: subscribe it to a channel, end a subscription, change its expiry. */
import { HubError } from '../platform/errors.ts';
import type { SubscribeResult } from '../protocol/centrifugal/messages.ts';
import { CommandFailure } from './command-failure.ts';
import { join } from './session-join.ts';
import type { Session } from './session.ts';
import { expiryOf } from './tokens.ts';

export interface ServerSubscription {
  /** data about the subscription for presence, JSON; `''`: none */
  readonly channelInfo: string;
  /** data for the client, JSON; `''`: none */
  readonly data: string;
  /** when it expires, as Unix time in seconds; Infinity: never */
  readonly expiresAt: number;
  /** the position that the client has; null: none */
  readonly since: { readonly epoch: string; readonly offset: number } | null;
}

/** More than a join waits for the broker. A client that has gone meanwhile has no answer. */
const maxJoinMs = 3_000;

/**
 * Subscribes a connected client to a channel. A subscription that it has begins anew.
 * @throws {HubError} as a rejection: the channel or the broker refuses
 * @throws {CommandFailure} as a rejection: the client has too many channels
 */
export async function subscribeClient(
  session: Session,
  name: string,
  { channelInfo, data, expiresAt, since }: ServerSubscription,
): Promise<void> {
  const { channels, client, parts } = session;
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const deadline = setTimeout(resolve, maxJoinMs, undefined);
  channels.whenSettled(name, () => {
    if (!session.isConnected || client.state !== 'open') {
      resolve(undefined);
    } else if (!channels.get(name) && channels.size >= parts.settings.maxSubscriptions) {
      reject(CommandFailure.error('limitExceeded'));
    } else {
      const request = {
        recover: since !== null,
        epoch: since?.epoch ?? '',
        offset: since?.offset ?? 0,
        flag: 0,
      };
      const options = { isServerSide: true, expiresAt, ...(channelInfo !== '' && { channelInfo }) };
      join(session, name, request, options, (outcome) => {
        if ('error' in outcome) {
          reject(outcome.error instanceof HubError ? outcome.error : new HubError('internal'));
          return;
        }
        writeSubscribed(session, name, outcome.result, data);
        resolve(undefined);
      });
    }
  });
  try {
    await promise;
  } finally {
    clearTimeout(deadline);
  }
}

/** The push about the subscription, and the publications that the client missed. */
function writeSubscribed(
  { client, protocol }: Session,
  name: string,
  { recoverable = false, positioned = false, epoch = '', offset = 0, publications = [] }: SubscribeResult,
  data: string,
): void {
  const pushed = { recoverable, positioned, epoch, offset, ...(data !== '' && { data: Buffer.from(data) }) };
  client.write(protocol.push(name, 'subscribe', pushed));
  if (publications.length === 0) return;
  client.replay(Buffer.concat(publications.map((publication) => protocol.push(name, 'pub', publication))));
}

/** Ends a subscription, also one that is being joined. The client does not come back to it by itself. */
export function unsubscribeClient(session: Session, name: string): void {
  const { channels } = session;
  channels.whenSettled(name, () => {
    const subscription = channels.subscription(name);
    if (subscription) session.endSubscription(subscription, 'channel_deleted');
  });
}

/** Tells the client when its connection expires. @param expiresAt Unix time in seconds; Infinity: never */
export function tellExpiry({ client, protocol }: Session, expiresAt: number): void {
  client.write(protocol.push('', 'refresh', expiryOf(expiresAt)));
}
