/** The admin routes, the same on the public port of every worker and on the ops port. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Router, RouterContext } from '@koa/router';
import rawBody from 'raw-body';
import { isChannelName } from '../channel/name.ts';
import type { Settings } from '../config/settings.ts';
import type { ActionResult, ActionInput, ActionName, Execute } from './actions.ts';
import { errors, HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { requireBearer } from '../http/bearer.ts';
import { TrustedProxies, unreadableForwarded } from '../http/client-address.ts';
import { FailedLogins } from '../http/failed-logins.ts';
import type { HttpCounters } from '../http/http-counters.ts';
import { createRouter } from '../http/router.ts';

export interface AdminOptions {
  token: string;
  /** of them: what a published message may be long, whose word for an address counts, how often a token may be wrong */
  settings: Pick<Settings, 'maxPayload' | 'trustProxy' | 'adminFailureLimit'>;
  perform: Execute;
  log: Log;
  counters: HttpCounters;
  tracing: Tracing;
}

const defaultLimit = 100;
const maxLimit = 1_000;

export function adminRoutes({ token, settings, perform, log, counters, tracing }: AdminOptions): Router {
  const router = createRouter();
  const { maxPayload, trustProxy, adminFailureLimit } = settings;
  const proxies = new TrustedProxies(trustProxy, unreadableForwarded(log));
  const address = (request: IncomingMessage) => proxies.trace(request).address;
  const guard = requireBearer({ token, failedLogins: new FailedLogins(adminFailureLimit), address, log });

  /** Asks the hub and logs what was asked, by whom, and how it ended. */
  async function act<A extends ActionName>(
    ctx: RouterContext,
    action: A,
    input: ActionInput<A>,
  ): Promise<ActionResult<A>> {
    // Back ends publish thousands of times a second; what an operator does is rare.
    const level = ctx.method === 'GET' || action === 'publish' ? 'debug' : 'info';
    const target = { ...ctx.params };
    const traced = tracing.on && ctx.method !== 'GET';
    const span = traced ? tracing.admin(ctx.method, String(ctx['_matchedRoute'])) : null;
    const line = { action, target, remoteAddress: address(ctx.req), traceId: span?.traceId };
    try {
      const answer = await perform(action, input, span?.traceparent);
      span?.end(action === 'publish' ? 202 : 200);
      counters.acted(action, 'done');
      log[level]({ ...line, result: 'done' }, 'admin action');
      return answer;
    } catch (error) {
      const result = error instanceof HubError ? error.code : 'internal';
      counters.acted(action, result);
      span?.end(errors[result].status);
      log[level]({ ...line, result }, 'admin action');
      throw error;
    }
  }

  router.delete('/delete/:channel', guard, async (ctx) => {
    ctx.body = await act(ctx, 'delete_channel', { channel: channelOf(ctx) });
  });

  router.delete('/kill-connection/:channel/:connectionId/:workerId', guard, async (ctx) => {
    ctx.body = await act(ctx, 'kill_connection', {
      channel: channelOf(ctx),
      connectionId: parameter(ctx, 'connectionId'),
      workerId: parameter(ctx, 'workerId'),
    });
  });

  router.delete('/users/:user', guard, async (ctx) => {
    ctx.body = await act(ctx, 'close_user', { user: parameter(ctx, 'user') });
  });

  router.get('/channels', guard, async (ctx) => {
    ctx.body = await act(ctx, 'list_channels', { prefix: query(ctx, 'prefix') ?? '', limit: limitOf(ctx) });
  });

  router.get('/channels/:channel', guard, async (ctx) => {
    ctx.body = await act(ctx, 'show_channel', { channel: channelOf(ctx), limit: limitOf(ctx) });
  });

  router.post('/channels/:channel/messages', guard, async (ctx) => {
    const channel = channelOf(ctx);
    const payload = await jsonBody(ctx, maxPayload);
    ctx.body = await act(ctx, 'publish', { channel, payload });
    ctx.status = 202;
  });

  router.get('/state', guard, async (ctx) => {
    ctx.body = await act(ctx, 'state', { limit: limitOf(ctx) });
  });

  return router;
}

function parameter(ctx: RouterContext, name: string): string {
  return ctx.params[name] ?? '';
}

function channelOf(ctx: RouterContext): string {
  const channel = parameter(ctx, 'channel');
  if (!isChannelName(channel)) throw new HubError('bad_channel');
  return channel;
}

function query(ctx: RouterContext, name: string): string | undefined {
  const value = ctx.query[name];
  if (Array.isArray(value)) throw new HubError('bad_query', `${name} is given more than once`);
  return value;
}

function limitOf(ctx: RouterContext): number {
  const text = query(ctx, 'limit');
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
