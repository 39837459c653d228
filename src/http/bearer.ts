/** The admin token: `Authorization: Bearer <token>` (RFC 6750 section 2.1), compared in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Middleware } from 'koa';
import { HubError } from '../errors.ts';

/** Lets only requests with the token through: 401 without one, 403 with a wrong one. */
export function requireBearer(token: string): Middleware {
  const wanted = digest(token);
  return async (ctx, next) => {
    const given = /^Bearer +([^ ]+)$/i.exec(ctx.get('authorization'))?.[1];
    if (given === undefined) {
      ctx.set('WWW-Authenticate', 'Bearer realm="wshub"');
      throw new HubError('unauthorized');
    }
    // Digests have one length, so the time tells neither the token's length nor how much of it was right.
    if (!timingSafeEqual(digest(given), wanted)) throw new HubError('forbidden');
    await next();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
