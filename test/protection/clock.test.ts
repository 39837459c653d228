/** The wall clock stepped under a running hub, by libfaketime: the machine's own clock is left alone. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { growing, scrape, sum } from '../observability/exposition.ts';
import { connectApart, eventually, hubFor, temporaryFolder, type HubProcess } from '../support.ts';

const library = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find((path) => existsSync(path));

/** Seconds by which the hub's log is ahead of this process's clock. */
async function offset(hub: HubProcess): Promise<number> {
  const lines = hub.log.length;
  await hub.admin('GET', '/channels');
  const line = await eventually(() => hub.log[lines], 'a line in the log');
  return (Date.parse(String(line['time'])) - Date.now()) / 1000;
}

describe('a wall clock that is stepped', () => {
  const skip = library === undefined && "libfaketime (Debian's package of this name) is not installed";

  it('ahead and back changes nothing for anybody', { skip }, async (t) => {
    const file = join(temporaryFolder(t), 'clock');
    writeFileSync(file, '+0');
    const hub = await hubFor(t, {
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        DONT_FAKE_MONOTONIC: '1',
        WSHUB_PING_INTERVAL_MS: '1000',
      },
    });
    const [one, other] = await connectApart(hub, 'room?echo=false');
    let counters = growing((await scrape(hub)).samples);
    let sent = 0;
    for (const [step, seconds] of [
      ['+2h', 7_200],
      ['-3h', -10_800],
      ['+0', 0],
    ] as const) {
      writeFileSync(file, step);
      await eventually(
        async () => (Math.abs((await offset(hub)) - seconds) < 600 ? true : undefined),
        `a clock at ${step}`,
      );
      for (let n = 0; n < 200; n += 1) {
        one.send(sent);
        assert.equal(await other.next(), sent++);
      }
      const { samples } = await scrape(hub);
      const now = growing(samples);
      for (const [series, value] of counters) {
        assert.ok((now.get(series) ?? 0) >= value - 1e-9, `${series} fell at ${step}`);
      }
      counters = now;
      assert.ok(sum(samples, 'wshub_delivery_latency_seconds_sum') < 600, 'a message that took hours');
    }
    assert.equal(one.closed ?? other.closed, undefined);
    assert.deepEqual(other.rest(), []);
    assert.equal(
      hub.log.find(({ msg }) => msg === 'worker died'),
      undefined,
    );
    await Promise.all([one.close(), other.close()]);
  });
});
