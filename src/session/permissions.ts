/** The permissions of a session on a channel. */
import { isListedUser, mayPublish, maySubscribe } from '../auth/permissions.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { SessionContext } from './context.ts';

/** Whether the client may subscribe without a token for the channel. */
export function maySubscribeTo(
  { client, parts }: SessionContext,
  options: ChannelOptions,
  channel: string,
): boolean {
  const { grant } = client;
  return (
    parts.settings.insecure !== 'false' ||
    isListedUser(options, grant, channel) ||
    maySubscribe(options, grant, channel)
  );
}

export function mayPublishTo(
  { client, parts }: SessionContext,
  options: ChannelOptions,
  channel: string,
): boolean {
  return parts.settings.insecure !== 'false' || mayPublish(options, client.grant, channel);
}

/** Returns whether the client may read the history and the presence of a channel: clients that may subscribe, or have subscribed. */
export function mayRead(session: SessionContext, options: ChannelOptions, channel: string): boolean {
  return session.channels.subscription(channel) !== null || maySubscribeTo(session, options, channel);
}
