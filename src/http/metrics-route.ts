/** `/metrics` on the ops port, in Prometheus' text format or in OpenMetrics, whichever the scraper prefers. */
import type { Router } from '@koa/router';
import { createRouter } from './router.ts';

/** What is scraped; implemented by metrics/scrape.ts. */
export interface Scraped {
  /** the media types that there are, the usual one first */
  readonly types: readonly [string, ...string[]];
  /** The metrics of all processes in one of the types. */
  text(type: string): Promise<string>;
}

export function metricsRoute(scraped: Scraped): Router {
  const router = createRouter();
  router.get('/metrics', async (ctx) => {
    // Who accepts none of them gets the usual one, as scrapers expect it.
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
