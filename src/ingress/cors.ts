/** CORS of the routes for web pages: allowed origins, and no others, may read the responses (Fetch standard, section 3.3). */
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { HubError } from '../platform/errors.ts';
import type { AdmissionControl } from './admission-control.ts';

type Origins = Pick<AdmissionControl, 'allowsOrigin'>;

/** Seconds for which a browser caches a preflight. */
const preflightMaxAge = '600';

/** Returns the headers of a response. */
export function corsHeaders(origins: Origins, request: IncomingMessage): Record<string, string> {
  const { origin } = request.headers;
  if (origin === undefined || !origins.allowsOrigin(request)) return { Vary: 'Origin' };
  return { Vary: 'Origin', 'Access-Control-Allow-Origin': origin };
}

/**
 * Answers a preflight.
 * @throws {HubError} `origin_not_allowed`
 */
export function answerPreflight(
  origins: Origins,
  ctx: Context,
  { methods, headers }: { methods: string; headers: string },
): void {
  ctx.set(corsHeaders(origins, ctx.req));
  if (!origins.allowsOrigin(ctx.req)) throw new HubError('origin_not_allowed');
  ctx.set('Access-Control-Allow-Methods', methods);
  ctx.set('Access-Control-Allow-Headers', headers);
  ctx.set('Access-Control-Max-Age', preflightMaxAge);
  ctx.status = 204;
}

/**
 * A page of any origin may send a GET without `Origin` in this mode. It could not read the response, but would open it.
 * @throws {HubError} `origin_not_allowed`
 */
export function checkMode({ headers }: IncomingMessage): void {
  if (headers['sec-fetch-mode'] === 'no-cors') throw new HubError('origin_not_allowed');
}
