/** Reads a Koa request for an action, and checks what it reads. */
import { isUtf8 } from 'node:buffer';
import type { RouterContext } from '@koa/router';
import rawBody from 'raw-body';
import { covers } from '../auth/api-keys.ts';
import { isChannelName } from '../channel/name.ts';
import { HubError } from '../platform/errors.ts';
import type { AdminRequest } from './action.ts';

const defaultLimit = 100;
const maxLimit = 1_000;

/**
 * @param channels patterns of those that the caller may use
 * @param maxPayload bytes that the body may have
 */
export function adminRequest(
  ctx: RouterContext,
  channels: readonly string[],
  maxPayload: number,
): AdminRequest {
  const parameter = (name: string): string => ctx.params[name] ?? '';
  const query = (name: string): string | undefined => {
    const value = ctx.query[name];
    if (Array.isArray(value)) throw new HubError('bad_query', `${name} is given more than once`);
    return value;
  };
  return {
    parameter,
    query,
    channels,
    channel: () => {
      const channel = parameter('channel');
      if (!isChannelName(channel)) throw new HubError('bad_channel');
      if (!covers(channels, channel)) throw channelForbidden();
      return channel;
    },
    page: () => ({ after: query('after') ?? '', limit: limitOf(query('limit')) }),
    json: () => jsonBody(ctx, maxPayload),
  };
}

export function channelForbidden(): HubError {
  return new HubError('forbidden', 'the API key is not for this channel');
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return defaultLimit;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > maxLimit) {
    throw new HubError('bad_query', `limit must be a whole number from 1 to ${maxLimit}`);
  }
  return limit;
}

/** The body, which must be JSON; it is published byte for byte. */
async function jsonBody(ctx: RouterContext, maxBytes: number): Promise<string> {
  const body = await rawBody(ctx.req, { limit: maxBytes, length: ctx.req.headers['content-length'] ?? null });
  const text = body.toString();
  try {
    if (!isUtf8(body)) throw new SyntaxError('not UTF-8');
    JSON.parse(text);
  } catch (cause) {
    throw new HubError('bad_json', undefined, { cause });
  }
  return text;
}
