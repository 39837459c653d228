/** `/metrics` on the ops port, in Prometheus' text format or in OpenMetrics, as the scraper likes it best. */
import { Router } from '@koa/router';

/** What is scraped; observability/scrape.ts fits. */
export interface Scraped {
  /** the media types that there are, the usual one first */
  readonly types: readonly string[];
  /** The metrics of all processes in one of the types. */
  text(type: string): Promise<string>;
}

export function metricsRoute(scraped: Scraped): Router {
  const router = new Router();
  router.get('/metrics', async (ctx) => {
    const accepted = ctx.accepts(...scraped.types.map((type) => type.replace(/; charset=.*/, '')));
    const type = scraped.types.find((one) => accepted !== false && one.startsWith(accepted[0] ?? '')) ?? '';
    ctx.body = await scraped.text(type);
    ctx.set('Content-Type', type);
    ctx.set('Cache-Control', 'no-store');
  });
  return router;
}
