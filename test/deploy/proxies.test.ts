/** The files of the proxies against the table of admin routes: none of them is reachable from outside. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { actions } from '../../src/admin/actions.ts';
import { methods } from '../../src/admin/api/methods.ts';
import { pathsOf } from '../../src/admin/routes.ts';

const routes = actions.flatMap((action) => action.routes).flatMap(pathsOf);
const api = ['/api', '/api/batch', '/admin/api', ...methods.map(({ name }) => `/api/${name}`)];
const forClients = [
  '/room',
  '/statements',
  '/connection/websocket',
  '/connection/http_stream',
  '/connection/sse',
  '/emulation',
];

for (const file of ['nginx.conf', 'haproxy.cfg', 'haproxy.cluster.cfg']) {
  describe(`deploy/${file}`, () => {
    const text = readFileSync(new URL(`../../deploy/${file}`, import.meta.url), 'utf8');
    const [, source = ''] = /(?:location ~|path_reg) (\^\/\(admin\S*)/.exec(text) ?? [];

    it('keeps every admin route inside, and lets clients in', () => {
      assert.notEqual(source, '');
      const blocked = new RegExp(source);
      for (const path of [...routes, ...api]) assert.match(path, blocked);
      for (const path of forClients) assert.doesNotMatch(path, blocked);
    });
  });
}
