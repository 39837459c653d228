/**
 * Authentication of admin requests: the admin token or an API key as `Authorization: Bearer <secret>`, with the scheme
 * `apikey`, or as `X-API-Key`.
 * The routes decide what the caller may do.
 */
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { Caller, Identify } from '../auth/api-keys.ts';
import { HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { FailedLogins } from './failed-logins.ts';

export interface AuthenticationOptions {
  identify: Identify;
  failedLogins: FailedLogins;
  /** address that a request comes from */
  address: (request: IncomingMessage) => string;
  log: Log;
}

/** Returns the caller of a request. Throws: 401 without a secret, 403 with a wrong one, 429 after too many of those. */
export function authenticator({
  identify,
  failedLogins,
  address,
  log,
}: AuthenticationOptions): (ctx: Context) => Caller {
  return (ctx) => {
    const secret = secretOf(ctx);
    if (secret === null) throw new HubError('unauthorized');
    const from = address(ctx.req);
    const now = performance.now();
    if (failedLogins.isBlocked(from, now)) {
      throw new HubError('rate_limited', 'too many wrong admin tokens or API keys');
    }
    const caller = identify(secret);
    if (caller) return caller;
    failedLogins.failed(from, now);
    // The number of these lines is limited by the failures that the address may have.
    log.warn({ remoteAddress: from, method: ctx.method, path: ctx.path }, 'wrong admin token or API key');
    throw new HubError('forbidden');
  };
}

/**
 * `X-API-Key` takes precedence: a proxy may use `Authorization` itself. Clients of Centrifugo's server API send the scheme
 * `apikey`.
 */
function secretOf(ctx: Context): string | null {
  const key = ctx.get('x-api-key');
  if (key !== '') return key;
  return /^(?:Bearer|apikey) +([^ ]+)$/i.exec(ctx.get('authorization'))?.[1] ?? null;
}
