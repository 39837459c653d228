/** Reads a Koa request for an action, and checks what it reads. */
import type { RouterContext } from '@koa/router';
import { covers } from '../auth/api-keys.ts';
import { isChannelName } from '../channel/name.ts';
import { readText } from '../http/body.ts';
import { HubError } from '../platform/errors.ts';
import type { AdminRequest } from './action.ts';
import { channelForbidden } from './refusals.ts';

const defaultLimit = 100;
const maxLimit = 1_000;

/** Size limits in bytes. */
export interface BodyLimits {
  /** of one message */
  maxPayload: number;
  maxBatchBytes: number;
}

/** @param channels patterns of those that the caller may use */
export function adminRequest(
  ctx: RouterContext,
  channels: readonly string[],
  { maxPayload, maxBatchBytes }: BodyLimits,
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
    header: (name) => (name in ctx.headers ? ctx.get(name) : undefined),
    json: () => jsonBody(ctx, maxPayload),
    batch: () => readText(ctx.req, maxBatchBytes),
    maxPayload,
  };
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
  const text = await readText(ctx.req, maxBytes);
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new HubError('bad_json', undefined, { cause });
  }
  return text;
}
