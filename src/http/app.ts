/** Base of both Koa apps: every response is JSON, and every refusal has a code of the error table. */
import type { IncomingMessage } from 'node:http';
import type { Router } from '@koa/router';
import Koa, { type Context } from 'koa';
import { HubError, messageOf, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';
import { refusalHeaders } from './refuse.ts';
import { requestTarget } from './request-target.ts';

/** State set by the router; requests of named routes are counted by name. */
interface MatchedRoute {
  _matchedRoute?: unknown;
  _matchedRouteName?: string;
}

/** Handles requests that match no route. */
export interface NothingHere {
  /** error code of a GET */
  code: ErrorCode;
  /** Takes a request; returns false to leave it. With `ctx.respond = false` it answers and counts the request itself. */
  take?: (ctx: Context) => boolean;
}

/** @param routers tried in order */
export function createApp(
  routers: readonly Router[],
  nothingHere: NothingHere,
  log: Log,
  counters: HttpCounters,
): Koa {
  const app = new Koa();
  app.silent = true; // errors are logged below, once
  app.use(async (ctx, next) => {
    const startedAt = performance.now();
    try {
      checkHost(ctx.req);
      setTarget(ctx.req);
      checkPath(ctx.path);
      await next();
      if (ctx.status === 405 || ctx.status === 501) throw new HubError('method_not_allowed');
      if (ctx.status === 404 && !ctx.body && !nothingHere.take?.(ctx)) {
        throw new HubError(ctx.method === 'GET' ? nothingHere.code : 'not_found');
      }
    } catch (error) {
      const refusal = refusalOf(error);
      // A HubError was logged where it was created.
      if (refusal !== error && refusal.code === 'internal') {
        log.error({ err: error, method: ctx.method, path: ctx.path }, 'HTTP request failed');
      }
      ctx.set(refusalHeaders(refusal));
      ctx.status = refusal.status;
      ctx.body = refusal.body;
    } finally {
      const { _matchedRoute: path, _matchedRouteName: name } = ctx as MatchedRoute;
      const route = name ?? path;
      const seconds = (performance.now() - startedAt) / 1000;
      if (ctx.respond !== false) {
        counters.answered(ctx.method, typeof route === 'string' ? route : null, ctx.status, seconds);
      }
    }
  });
  for (const router of routers) {
    for (const { methods, path, name } of router.stack) {
      const method = methods.find((one) => one !== 'HEAD');
      // Named routes are those of admin actions, which set the answer themselves.
      if (method && name === undefined && typeof path === 'string') counters.expect(method, path, 200);
    }
    app.use(router.routes());
    app.use(router.allowedMethods());
  }
  return app;
}

/** RFC 9112 section 3.2: HTTP/1.1 requires it. */
function checkHost({ headers, httpVersion }: IncomingMessage): void {
  if (httpVersion === '1.1' && headers.host === undefined) {
    throw new HubError('bad_request', 'the Host header is missing');
  }
}

/** Rejects invalid targets: Koa would throw wherever a middleware reads the path. */
function setTarget(request: IncomingMessage): void {
  const target = requestTarget(request.url ?? '');
  if (target === null) throw new HubError('bad_channel', 'the path is not percent-encoded UTF-8');
  request.url = target.path;
  if (target.host !== null) request.headers.host = target.host; // RFC 9112 section 3.2.2
}

function checkPath(path: string): void {
  try {
    decodeURIComponent(path);
  } catch (cause) {
    throw new HubError('bad_channel', 'the path is not percent-encoded UTF-8', { cause });
  }
}

function refusalOf(error: unknown): HubError {
  if (error instanceof HubError) return error;
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  if (status === 413) return new HubError('message_too_big');
  if (status === 400) return new HubError('bad_request', messageOf(error));
  return new HubError('internal', undefined, { cause: error });
}
