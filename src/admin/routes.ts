/** The admin routes, the same on the public port of every worker and on the ops port. */
import type { IncomingMessage } from 'node:http';
import type { Router, RouterContext } from '@koa/router';
import type { Caller, Identify } from '../auth/api-keys.ts';
import { authenticator } from '../http/authenticate.ts';
import { FailedLogins } from '../http/failed-logins.ts';
import { createRouter } from '../http/router.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';
import { errors, HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Action, Call, Execute, Route } from './action.ts';
import { actions } from './actions.ts';
import { addApiRoutes } from './api/routes.ts';
import { checkPermission } from './permission.ts';
import { adminRequest, type BodyLimits } from './request.ts';

export interface AdminOptions {
  identify: Identify;
  /** address that a request comes from */
  address: (request: IncomingMessage) => string;
  /** size limits of bodies; wrong secrets that an address may send */
  settings: BodyLimits & { adminFailureLimit: number };
  perform: Execute;
  log: Log;
  counters: HttpCounters;
  tracing: Tracing;
}

export function adminRoutes(options: AdminOptions): Router {
  const { identify, address, settings, perform, log, counters, tracing } = options;
  const router = createRouter();
  const failedLogins = new FailedLogins(settings.adminFailureLimit);
  const authenticate = authenticator({ identify, failedLogins, address, log });

  /** Authorizes and reads a request; logs refused ones. */
  async function read(ctx: RouterContext, action: Action, caller: Caller): Promise<Call> {
    try {
      checkPermission(action, caller);
      return await action.read(adminRequest(ctx, caller.channels, settings));
    } catch (error) {
      if (error instanceof HubError && error.code === 'forbidden') record(ctx, action, caller, 'forbidden');
      throw error;
    }
  }

  /** Executes the call, and logs the request and its result. */
  async function act(ctx: RouterContext, action: Action, route: Route, caller: Caller): Promise<unknown> {
    const call = await read(ctx, action, caller);
    const span = tracing.on && ctx.method !== 'GET' ? tracing.admin(ctx.method, route.path) : null;
    try {
      const answer = await perform(call, span?.traceparent);
      span?.end(action.status);
      record(ctx, action, caller, 'done', span?.traceId);
      return answer;
    } catch (error) {
      const result = error instanceof HubError ? error.code : 'internal';
      span?.end(errors[result].status);
      record(ctx, action, caller, result, span?.traceId);
      throw error;
    }
  }

  /** @param result `done` or an error code */
  function record(
    ctx: RouterContext,
    action: Action,
    { key }: Caller,
    result: string,
    traceId?: string,
  ): void {
    counters.acted(action.name, result);
    const target = { ...ctx.params };
    const line = { action: action.name, target, key, remoteAddress: address(ctx.req), traceId, result };
    log[action.audit](line, 'admin action');
  }

  for (const action of actions) {
    for (const route of action.routes) {
      counters.expect(route.method, route.path, action.status);
      const answer = async (ctx: RouterContext): Promise<void> => {
        const body = await act(ctx, action, route, authenticate(ctx));
        if (typeof body === 'string') ctx.type = 'json'; // it is JSON text
        ctx.body = body;
        ctx.status = action.status;
      };
      for (const path of pathsOf(route)) {
        // Both paths count as one route, by its name.
        router.register(path, [route.method], [answer], { name: route.path });
      }
    }
  }
  addApiRoutes(router, { authenticate, address, settings, perform, log, counters, tracing });
  return router;
}

/** Returns the paths of a route. */
export function pathsOf({ path, onlyAtRoot }: Route): string[] {
  return onlyAtRoot ? [path] : [path, `/admin${path}`];
}
