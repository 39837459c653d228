/** Whatever is accepted while workers are replaced reaches everyone. The long form is `npm run soak:reload`. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { scrape, sum } from '../metrics/exposition.ts';
import { AcceptedMessages, standStill, writeHandlers } from '../../bench/soak/accepted.ts';
import { eventually, hubFor, temporaryFolder } from '../support.ts';

it('a hub that is reloaded under load, with blocked workers, delivers every accepted publication', async (t) => {
  const env = {
    WSHUB_HANDLERS: writeHandlers(temporaryFolder(t)),
    WSHUB_DRAIN_SPREAD_MS: '500',
    WSHUB_STOP_SPREAD_MS: '0',
    WSHUB_LOG_LEVEL: 'info',
  };
  const hub = await hubFor(t, { env });
  const messages = new AcceptedMessages(hub);
  await messages.start();
  let over = false;
  const standing = standStill(hub, 1, 2_000, () => over);
  for (let round = 1; round <= 2; round += 1) {
    hub.signal('SIGHUP');
    const done = () => hub.log.filter(({ msg }) => msg === 'reload done').length >= round || undefined;
    await eventually(done, 'the end of the reload');
    assert.deepEqual((await messages.missing()).slice(0, 10), []);
  }
  over = true;
  await standing;
  await messages.stop();
  assert.deepEqual(messages.faults.slice(0, 10), []);
  assert.ok(messages.count > 100, `${messages.count} were accepted`);
  const { samples } = await scrape(hub);
  assert.equal(sum(samples, 'wshub_messages_dropped_total', 'reason="relay_down"'), 0);
});
