/**
 * `subscribe`: a second one for the same channel begins anew, because the client has lost the reply to the first. Recovery
 * is complete, or the client is told that it is not.
 */
import { isChannelName } from '../../channel/name.ts';
import type { ChannelOptions } from '../../config/namespaces.ts';
import type { SubscribeRequest } from '../../protocol/centrifugal/messages.ts';
import type { SessionContext } from '../context.ts';
import { join, type JoinOptions } from '../session-join.ts';
import { maySubscribeTo } from '../permissions.ts';
import { CommandFailure } from '../command-failure.ts';
import { expiryOf, verifySubscription } from '../tokens.ts';

const deltas: readonly string[] = ['', 'fossil'];

export function subscribe(session: SessionContext, id: number, request: SubscribeRequest): undefined {
  const { channels } = session;
  const { channel } = request;
  if (channel === '') throw CommandFailure.disconnect('badRequest');
  channels.whenSettled(channel, () => {
    let waits: Promise<void> | undefined;
    try {
      waits = begin(session, id, request);
    } catch (error) {
      session.fail('subscribe', id, error);
    }
    waits?.catch((error: unknown) => {
      const entry = channels.get(channel);
      session.fail('subscribe', id, error);
      if (entry) channels.settle(entry);
    });
  });
}

/** @throws {CommandFailure} also as a rejection */
function begin(session: SessionContext, id: number, request: SubscribeRequest): Promise<void> | undefined {
  const { client, channels, parts } = session;
  const { channel, token, type, tf, delta } = request;
  const { tokens, hub, settings } = parts;
  if (!isChannelName(channel)) throw CommandFailure.error('badRequest', 'invalid channel name');
  if (type !== 0) throw CommandFailure.error('notAvailable');
  if (tf != null) throw CommandFailure.error('badRequest', 'filters are not available');
  if (!deltas.includes(delta)) throw CommandFailure.error('badRequest', 'unknown delta type');
  const options = hub.optionsOf(channel);
  if (!channels.get(channel) && channels.size >= settings.maxSubscriptions)
    throw CommandFailure.error('limitExceeded');
  const hasToken = token !== '' && tokens !== null;
  if (!hasToken && !maySubscribeTo(session, options, channel)) throw CommandFailure.error('permissionDenied');
  const asked = hasToken ? null : askHandler(session, channel);
  if (!hasToken && !asked) {
    joinAndReply(session, id, request, { isServerSide: false });
    return undefined;
  }
  channels.begin(channel); // later commands for the channel wait for the token and the handler
  return permit(session, request, asked).then((joinOptions) => {
    if (client.state === 'open') joinAndReply(session, id, request, joinOptions);
  });
}

/** @param asked null: the token permits the channel, and the handler is asked after it */
async function permit(
  session: SessionContext,
  request: SubscribeRequest,
  asked: Promise<void> | null,
): Promise<JoinOptions> {
  const options = asked ? { isServerSide: false } : await authorize(session, request, request.token);
  await (asked ?? askHandler(session, request.channel));
  return options;
}

/** Asks the user's handler. @returns null: there is none */
export function askHandler(
  { client, parts, request }: SessionContext,
  channel: string,
): Promise<void> | null {
  const { grant, remoteAddress } = client;
  return parts.dispatcher.subscribing({
    channel,
    claims: grant?.claims ?? null,
    address: remoteAddress,
    request,
  });
}

async function authorize(
  { client, parts: { tokens, settings } }: SessionContext,
  { channel }: SubscribeRequest,
  token: string,
): Promise<JoinOptions> {
  if (tokens === null) return { isServerSide: false };
  const of = { channel, user: client.user, client: client.id };
  const { grant, expiresAt } = await verifySubscription(tokens, token, of, {
    expired: CommandFailure.error('tokenExpired'),
    invalid: (reason) => CommandFailure.error('permissionDenied', reason),
  });
  const { info } = grant.claims;
  return {
    isServerSide: false,
    expiresAt: settings.insecure === 'false' ? expiresAt : Infinity,
    ...(info !== undefined && { channelInfo: JSON.stringify(info) }),
  };
}

function joinAndReply(
  session: SessionContext,
  id: number,
  request: SubscribeRequest,
  options: JoinOptions,
): void {
  join(session, request.channel, request, options, (outcome) => {
    if ('error' in outcome) {
      session.fail('subscribe', id, outcome.error);
      return;
    }
    const result = { ...outcome.result, ...expiryOf(options.expiresAt ?? Infinity) };
    session.reply(id, 'subscribe', result);
  });
}

/** The options of a channel that a command names. @throws {CommandFailure} @throws {HubError} `unknown_namespace` */
export function namedChannel({ parts }: SessionContext, channel: string): ChannelOptions {
  if (channel === '') throw CommandFailure.disconnect('badRequest');
  if (!isChannelName(channel)) throw CommandFailure.error('badRequest', 'invalid channel name');
  return parts.hub.optionsOf(channel);
}
