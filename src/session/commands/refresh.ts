/** `refresh` and `sub_refresh`: a new token for the connection, or for one subscription. */
import type { ChannelRequest } from '../../protocol/centrifugal/messages.ts';
import { expiryGraceSeconds } from '../channels.ts';
import type { SessionContext } from '../context.ts';
import { CommandFailure } from '../command-failure.ts';
import { expiryOf, verifyConnection, verifySubscription } from '../tokens.ts';
import { hubVersion } from './connect.ts';

export async function refresh(
  session: SessionContext,
  id: number,
  { token }: { readonly token: string },
): Promise<void> {
  const { client, parts } = session;
  const { tokens, clients, settings } = parts;
  let expiresAt = Infinity;
  if (tokens !== null) {
    const verified = await verifyConnection(tokens, token, CommandFailure.disconnect('connectionExpired'));
    if (client.state !== 'open') return;
    if (verified.grant.user !== client.user)
      throw CommandFailure.disconnect('invalidToken', 'token of another user');
    if (settings.insecure === 'false') ({ expiresAt } = verified);
    clients.renew(client, verified.grant, expiresAt + expiryGraceSeconds);
  }
  session.reply(id, 'refresh', { client: client.id, version: hubVersion, ...expiryOf(expiresAt) });
}

export async function subRefresh(
  session: SessionContext,
  id: number,
  { channel, token }: ChannelRequest & { readonly token: string },
): Promise<void> {
  if (channel === '') throw CommandFailure.disconnect('badRequest');
  const { client, channels, parts } = session;
  if (channels.subscription(channel) === null)
    throw CommandFailure.error('permissionDenied', 'not subscribed');
  if (token === '') throw CommandFailure.error('badRequest', 'a token is required');
  let expiresAt = Infinity;
  if (parts.tokens !== null) {
    const of = { channel, user: client.user, client: client.id };
    const verified = await verifySubscription(parts.tokens, token, of, {
      expired: CommandFailure.disconnect('subscriptionExpired'),
      invalid: (reason) => CommandFailure.disconnect('invalidToken', reason),
    });
    const entry = channels.get(channel);
    if (!entry?.subscription) throw CommandFailure.error('permissionDenied', 'not subscribed');
    if (parts.settings.insecure === 'false') ({ expiresAt } = verified);
    channels.expire(entry, expiresAt);
  }
  session.reply(id, 'sub_refresh', expiryOf(expiresAt));
}
