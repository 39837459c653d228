/** `npm run test:browser`: the JavaScript SDK in a real browser, over WebSockets and, with these blocked, over its fallbacks. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { eventually, hubFor } from '../support.ts';
import { count, openBrowser, pageServer } from './browser.ts';

const script = readFileSync(new URL('../../node_modules/centrifuge/dist/centrifuge.js', import.meta.url));

/** Connects by the first of the transports that opens, publishes, and reports everything to its own server. */
const page = (port: number, transports: readonly object[]) => `<!doctype html><title>sdk</title>
<script src="/centrifuge.js"></script><script>
const report = (event, data) =>
  fetch('/seen', { method: 'POST', body: JSON.stringify({ event, id: '', data }), keepalive: true });
const client = new Centrifuge(${JSON.stringify(transports)}, {
  emulationEndpoint: 'http://127.0.0.1:${port}/emulation', minReconnectDelay: 50,
});
client.on('connected', ({ client, transport }) => report('connected', { client, transport }));
const sub = client.newSubscription('chat:room');
sub.on('subscribed', ({ recovered }) => {
  report('subscribed', recovered);
  if (!recovered) sub.publish('from the page').catch(({ message }) => report('error', message));
});
sub.on('publication', ({ data }) => report('publication', data));
sub.subscribe();
client.connect();
</script>`;

describe('the JavaScript SDK in Chromium', () => {
  for (const wanted of ['websocket', 'http_stream', 'sse'] as const) {
    it(`exchanges messages over ${wanted}, and recovers over the death of its worker`, async (t) => {
      const namespaces = JSON.stringify([{ name: 'chat', historySize: 100, historyTtl: '1h' }]);
      const hub = await hubFor(t, { env: { WSHUB_NAMESPACES: namespaces } });
      const { port } = hub;
      const http = `http://127.0.0.1:${port}/connection`;
      const transports = [
        // Refused, as by a proxy that lets no WebSocket through.
        {
          transport: 'websocket',
          endpoint: `ws://127.0.0.1:${port}/connection/${wanted === 'websocket' ? wanted : 'blocked'}`,
        },
        ...(wanted === 'websocket' ? [] : [{ transport: wanted, endpoint: `${http}/${wanted}` }]),
      ];
      const { seen, url } = await pageServer(t, page(port, transports), { '/centrifuge.js': script });
      openBrowser(t, url);
      const [connected] = await count(seen, 'connected', 1);
      const { client, transport } = connected?.data as { client: string; transport: string };
      assert.equal(transport, wanted);
      await count(seen, 'publication', 1);
      const { body } = await hub.admin('GET', `/connections/${client}`);
      process.kill(hub.pidOf((body as { workerId: string }).workerId), 'SIGKILL');
      await eventually(async () => {
        const { status } = await hub.admin('POST', '/channels/chat:room/messages', { body: '"missed"' });
        return status === 202 ? true : undefined; // the dead worker may have been asked
      }, 'a publication');
      assert.equal((await count(seen, 'subscribed', 2)).at(-1)?.data, true);
      assert.deepEqual(
        (await count(seen, 'publication', 2)).map(({ data }) => data),
        ['from the page', 'missed'],
      );
      assert.deepEqual(
        seen.filter(({ event }) => event === 'error'),
        [],
      );
    });
  }
});
