/** The admin routes, the same on the public port of every worker and on the ops port. */
import type { IncomingMessage } from 'node:http';
import type { Router, RouterContext } from '@koa/router';
import { requireBearer } from '../http/bearer.ts';
import { FailedLogins } from '../http/failed-logins.ts';
import { createRouter } from '../http/router.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';
import { errors, HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Action, Call, Execute, Route } from './action.ts';
import { actions } from './actions.ts';
import { adminRequest } from './request.ts';

export interface AdminOptions {
  token: string;
  /** address that a request comes from */
  address: (request: IncomingMessage) => string;
  /** size limit of a published message; wrong tokens that an address may send */
  settings: { maxPayload: number; adminFailureLimit: number };
  perform: Execute;
  log: Log;
  counters: HttpCounters;
  tracing: Tracing;
}

export function adminRoutes({
  token,
  address,
  settings,
  perform,
  log,
  counters,
  tracing,
}: AdminOptions): Router {
  const router = createRouter();
  const failedLogins = new FailedLogins(settings.adminFailureLimit);
  const guard = requireBearer({ token, failedLogins, address, log });

  /** Asks the hub, and logs the request and its outcome. */
  async function act(ctx: RouterContext, action: Action, route: Route, call: Call): Promise<unknown> {
    const span = tracing.on && ctx.method !== 'GET' ? tracing.admin(ctx.method, route.path) : null;
    const line = {
      action: action.name,
      target: { ...ctx.params },
      remoteAddress: address(ctx.req),
      traceId: span?.traceId,
    };
    try {
      const answer = await perform(call, span?.traceparent);
      span?.end(action.status);
      counters.acted(action.name, 'done');
      log[action.audit]({ ...line, result: 'done' }, 'admin action');
      return answer;
    } catch (error) {
      const result = error instanceof HubError ? error.code : 'internal';
      counters.acted(action.name, result);
      span?.end(errors[result].status);
      log[action.audit]({ ...line, result }, 'admin action');
      throw error;
    }
  }

  for (const action of actions) {
    for (const route of action.routes) {
      const answer = async (ctx: RouterContext): Promise<void> => {
        const call = await action.read(adminRequest(ctx, settings.maxPayload));
        ctx.body = await act(ctx, action, route, call);
        ctx.status = action.status;
      };
      for (const path of pathsOf(route)) {
        // Both paths count as one route, by its name.
        router.register(path, [route.method], [guard, answer], { name: route.path });
      }
    }
  }
  return router;
}

/** The paths at which a route stands. */
export function pathsOf({ path, onlyAtRoot }: Route): string[] {
  return onlyAtRoot ? [path] : [path, `/admin${path}`];
}
