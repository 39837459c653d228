/**
 * What a process manager or a load balancer asks on the ops port; no token is needed. HEAD and OPTIONS, which HAProxy's
 * `option httpchk` sends, are answered as GET is.
 */
import type { Router } from '@koa/router';
import { createRouter } from './router.ts';

export interface Health {
  /** the hub serves: at least one worker answers */
  readonly alive: boolean;
  /** every worker listens and is linked, at least one answers, and nothing is about to end */
  readonly ready: boolean;
}

export function probes(health: Health): Router {
  const router = createRouter();
  const probe = (path: string, state: () => boolean) => {
    router.register(path, ['GET', 'OPTIONS'], (ctx) => {
      const ok = state();
      ctx.status = ok ? 200 : 503;
      ctx.body = { status: ok ? 'ok' : 'unavailable' };
      ctx.set('Cache-Control', 'no-store');
    });
  };
  probe('/healthz', () => health.alive);
  probe('/readyz', () => health.ready);
  return router;
}
