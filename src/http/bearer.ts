/** The admin token: `Authorization: Bearer <token>` (RFC 6750 section 2.1), compared in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Middleware } from 'koa';
import { bearerToken } from '../auth/token-source.ts';
import { HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { FailedLogins } from './failed-logins.ts';

/** How the guard tells who asks, and who has failed too often. */
export interface BearerOptions {
  token: string;
  failedLogins: FailedLogins;
  address: (request: IncomingMessage) => string;
  log: Log;
}

/** Lets only requests with the token through: 401 without one, 403 with a wrong one, 429 after too many of those. */
export function requireBearer({ token, failedLogins, address, log }: BearerOptions): Middleware {
  const wanted = digest(token);
  return async (ctx, next) => {
    const given = bearerToken(ctx.get('authorization'));
    if (given === null) throw new HubError('unauthorized');
    const from = address(ctx.req);
    const now = performance.now();
    if (failedLogins.isBlocked(from, now)) throw new HubError('rate_limited', 'too many wrong admin tokens');
    // Digests have one length, so the time tells neither the token's length nor how much of it was right.
    if (!timingSafeEqual(digest(given), wanted)) {
      failedLogins.failed(from, now);
      // No more of these lines than the address may fail.
      log.warn({ remoteAddress: from, method: ctx.method, path: ctx.path }, 'wrong admin token');
      throw new HubError('forbidden');
    }
    await next();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
