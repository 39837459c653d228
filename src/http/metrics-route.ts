/** `/metrics` on the ops port, in Prometheus' text format or in OpenMetrics, as the scraper likes it best. */
import { Router } from '@koa/router';

/** What is scraped; observability/scrape.ts fits. */
export interface Scraped {
  /** the media types that there are, the usual one first */
  readonly types: readonly [string, ...string[]];
  /** The metrics of all processes in one of the types. */
  text(type: string): Promise<string>;
}

export function metricsRoute(scraped: Scraped): Router {
  const router = new Router();
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
