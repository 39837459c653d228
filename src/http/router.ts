/**
 * Router of both ports. Each route has exactly one spelling: case-sensitive, no trailing slash. Proxies in front block
 * the admin routes by path, so another spelling of one would bypass them.
 */
import { Router } from '@koa/router';

export function createRouter(): Router {
  return new Router({ sensitive: true, strict: true });
}
