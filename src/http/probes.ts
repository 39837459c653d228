/**
 * Health checks for process managers and load balancers on the ops port, without a token. HEAD and OPTIONS, as sent by HAProxy's
 * `option httpchk`, are answered like GET.
 */
import type { Router } from '@koa/router';
import { createRouter } from './router.ts';

export interface Health {
  /** at least one worker is responsive */
  readonly alive: boolean;
  /** every worker listens and is linked, at least one is responsive, and none drains */
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
