/** The tokens of a session: of the connection, and of single subscriptions. Reads the claims of Centrifugo beside the hub's own. */
import type { Grant } from '../auth/grant.ts';
import { isExpired, type ClientTokens } from '../auth/jwt.ts';
import { HubError } from '../platform/errors.ts';
import type { Expiry } from '../protocol/centrifugal/messages.ts';
import { CommandFailure } from './command-failure.ts';

export interface Verified {
  readonly grant: Grant;
  /** Unix time in seconds; Infinity: never */
  readonly expiresAt: number;
}

/** Results of a token that is not accepted. */
interface Failures {
  readonly expired: CommandFailure;
  readonly invalid: (reason: string) => CommandFailure;
}

/** @throws {CommandFailure} as a rejection */
export async function verifyConnection(
  tokens: ClientTokens,
  token: string,
  expired: CommandFailure = CommandFailure.error('tokenExpired'),
): Promise<Verified> {
  const invalid = (reason: string) => CommandFailure.disconnect('invalidToken', reason);
  const verified = await verify(tokens, token, { expired, invalid });
  if ('channel' in verified.grant.claims) throw invalid('a subscription token does not connect');
  return verified;
}

/**
 * @param user of the connection; null: none
 * @throws {CommandFailure} as a rejection
 */
export async function verifySubscription(
  tokens: ClientTokens,
  token: string,
  { channel, user, client }: { channel: string; user: string | null; client: string },
  refusals: Failures,
): Promise<Verified> {
  const verified = await verify(tokens, token, refusals);
  const { claims, user: tokenUser } = verified.grant;
  if (claims['channel'] !== channel)
    throw CommandFailure.disconnect('invalidToken', 'token of another channel');
  if ((tokenUser ?? '') !== (user ?? ''))
    throw CommandFailure.disconnect('invalidToken', 'token of another user');
  const { client: tokenClient } = claims;
  if (typeof tokenClient === 'string' && tokenClient !== '' && tokenClient !== client) {
    throw CommandFailure.disconnect('invalidToken', 'token of another client');
  }
  return verified;
}

async function verify(
  tokens: ClientTokens,
  token: string,
  { expired, invalid }: Failures,
): Promise<Verified> {
  try {
    const grant = await tokens.grant(token);
    const { expire_at: expireAt } = grant.claims;
    const expiresAt = typeof expireAt === 'number' ? (expireAt === 0 ? Infinity : expireAt) : grant.expiresAt;
    return { grant, expiresAt };
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'unauthorized') throw error;
    throw isExpired(error) ? expired : invalid(error.message);
  }
}

/** Returns when the client must renew a token. */
export function expiryOf(expiresAt: number): Expiry {
  if (expiresAt === Infinity) return {};
  return { expires: true, ttl: Math.max(1, Math.round(expiresAt - Date.now() / 1000)) };
}
