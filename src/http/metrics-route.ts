/** `/metrics` on the ops port, in Prometheus' text format or in OpenMetrics, whichever the scraper prefers. */
import type { Router } from '@koa/router';
import { createRouter } from './router.ts';

/** The source of the metrics; implemented by metrics/scrape.ts. */
export interface Scraped {
  /** supported media types, the default first */
  readonly types: readonly [string, ...string[]];
  /** Returns the metrics of all processes in one of the types. */
  text(type: string): Promise<string>;
}

export function metricsRoute(scraped: Scraped): Router {
  const router = createRouter();
  router.get('/metrics', async (ctx) => {
    // If the client accepts none of them, it gets the default, as scrapers expect.
    const wanted = ctx.accepts(...scraped.types.map(withoutCharset));
    const type = scraped.types.find((one) => withoutCharset(one) === wanted) ?? scraped.types[0];
    ctx.body = await scraped.text(type);
    ctx.set('Content-Type', type);
    ctx.set('Cache-Control', 'no-store');
  });
  return router;
}

function withoutCharset(type: string): string {
  return type.replace(/; charset=.*/, '');
}
