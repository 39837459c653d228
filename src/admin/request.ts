/** Reads a Koa request for an action, and checks what it reads. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { RouterContext } from '@koa/router';
import rawBody from 'raw-body';
import { covers } from '../auth/api-keys.ts';
import { isChannelName } from '../channel/name.ts';
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
    batch: () => textBody(ctx, maxBatchBytes),
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
  const text = await textBody(ctx, maxBytes);
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new HubError('bad_json', undefined, { cause });
  }
  return text;
}

/** The body, which must be UTF-8. */
export async function textBody({ req }: RouterContext, maxBytes: number): Promise<string> {
  let body: Buffer;
  try {
    body = await rawBody(req, { limit: maxBytes, length: req.headers['content-length'] ?? null });
  } catch (cause) {
    if ((cause as { status?: number }).status !== 413) throw cause;
    await skipBody(req, maxBytes);
    throw new HubError('message_too_big', `the body has more than ${maxBytes} bytes`, { cause });
  }
  if (!isUtf8(body)) throw new HubError('bad_json');
  return body.toString();
}

/** Bodies up to this size are discarded: a client that still sends when the connection closes does not see the response. */
function skipBody(request: IncomingMessage, maxBytes: number): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) resolve();
    });
    request.once('close', resolve);
    request.once('end', resolve);
    request.resume();
  });
}
