/** `npm run test:browser`: the EventSource of a real browser, Debian's Chromium without a window. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reservedPort } from '../reserved-port.ts';
import { eventually, startHub, temporaryFolder, type HubProcess } from '../support.ts';
import { count, ofKind, openBrowser, pageServer } from './browser.ts';

/** Opens the stream and reports everything to its own server. */
const page = (url: string) => `<!doctype html><title>events</title><script>
const source = new EventSource(${JSON.stringify(url)});
const report = (what) => fetch('/seen', { method: 'POST', body: JSON.stringify(what), keepalive: true });
for (const name of ['connected', 'message', 'draining', 'disconnected']) {
  source.addEventListener(name, ({ type, lastEventId, data }) =>
    report({ event: type, id: lastEventId, data: JSON.parse(data) }));
}
source.onerror = () => report({ event: 'error', id: '', data: source.readyState });
</script>`;

const publish = (hub: HubProcess, n: number) =>
  eventually(async () => {
    const { status } = await hub.admin('POST', '/channels/chat:room/messages', { body: String(n) });
    return status === 202 ? true : undefined;
  }, 'a publication');

describe('an EventSource in Chromium', () => {
  it('resumes over the death of its worker, a reload and a restart, and stays away once it is closed for good', async (t) => {
    const port = reservedPort();
    const env = {
      WSHUB_PORT: String(port),
      WSHUB_NAMESPACES: JSON.stringify([{ name: 'chat', historySize: 1000, historyTtl: '1h' }]),
      WSHUB_STATE_DIR: temporaryFolder(t),
      WSHUB_STOP_SPREAD_MS: '0',
      WSHUB_DRAIN_SPREAD_MS: '0',
    };
    const before = await startHub({ env });
    const { seen, url } = await pageServer(t, page(`http://127.0.0.1:${port}/chat:room`));
    openBrowser(t, url);
    const connected = async (times: number) => {
      const all = await count(seen, 'connected', times);
      return all.at(-1)?.data as { workerId: string; connectionId: string; recovered?: boolean };
    };

    const { workerId } = await connected(1);
    await publish(before, 1);
    await count(seen, 'message', 1);
    process.kill(before.pidOf(workerId), 'SIGKILL');
    await publish(before, 2);
    assert.equal((await connected(2)).recovered, true);

    await publish(before, 3);
    before.signal('SIGHUP');
    await before.logged('reload done');
    await publish(before, 4);
    assert.equal((await connected(3)).recovered, true);

    await count(seen, 'message', 4);
    await publish(before, 5);
    await before.end();
    const hub = await startHub({ env });
    t.after(() => hub.end());
    await publish(hub, 6);
    const last = await connected(4);
    assert.equal(last.recovered, true);
    assert.deepEqual(
      (await count(seen, 'message', 6)).map(({ data }) => data),
      [1, 2, 3, 4, 5, 6],
    );

    await hub.admin('DELETE', `/connections/${last.connectionId}`);
    await count(seen, 'disconnected', 1);
    const closed = 2; // EventSource.CLOSED
    await eventually(
      () => ofKind(seen, 'error').find(({ data }) => data === closed),
      'an EventSource that gave up',
    );
    assert.equal(ofKind(seen, 'connected').length, 4);
  });
});
