/** The wall clock stepped under a running hub, by libfaketime: the machine's own clock is left alone. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { counted, growing, scrape, sum } from '../metrics/exposition.ts';
import {
  connect,
  connectApart,
  eventually,
  handshake,
  hubFor,
  request,
  temporaryFolder,
  type Client,
  type HubProcess,
} from '../support.ts';

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

/** The environment of a hub with its own clock, and a function that sets that clock's offset in seconds. */
function steppedClock(folder: string, current: () => HubProcess) {
  const file = join(folder, 'clock');
  writeFileSync(file, '+0');
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
  const step = async (seconds: number) => {
    writeFileSync(file, seconds < 0 ? String(seconds) : `+${seconds}`);
    await eventually(
      async () => (Math.abs((await offset(current())) - seconds) < 200 ? true : undefined),
      `a clock that is ${seconds} s ahead`,
    );
  };
  return { env, step };
}

describe('a wall clock that is stepped', () => {
  const skip = library === undefined && "libfaketime (Debian's package of this name) is not installed";

  it('forwards and backwards has no effect on clients', { skip }, async (t) => {
    const { env, step } = steppedClock(temporaryFolder(t), () => hub);
    const hub = await hubFor(t, { env: { ...watched, ...env, WSHUB_PING_INTERVAL_MS: '1000' } });
    const held = await holdings(hub);
    const [one, other] = await connectApart(hub, 'room?echo=false');
    let counters = growing((await scrape(hub)).samples);
    let sent = 0;
    for (const seconds of [7_200, -10_800, 0]) {
      await step(seconds);
      for (let n = 0; n < 200; n += 1) {
        one.send(sent);
        assert.equal(await other.next(), sent++);
      }
      const { samples } = await scrape(hub);
      const now = growing(samples);
      for (const [series, value] of counters) {
        assert.ok((now.get(series) ?? 0) >= value - 1e-9, `${series} fell at ${seconds}`);
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
    await assertNoGrowth(hub, held);
  });

  it('expires tokens by its new time, and not before', { skip }, async (t) => {
    const folder = temporaryFolder(t);
    const secret = 'a secret of the tests, long enough';
    writeFileSync(join(folder, 'secret'), secret);
    const { env, step } = steppedClock(folder, () => hub);
    const hub = await hubFor(t, { env: { ...env, WSHUB_JWT_SECRET_FILE: join(folder, 'secret') } });
    const start = Math.floor(Date.now() / 1000);
    const until = async (seconds: number) => {
      const channels = [{ name: 'room', can: ['subscribe', 'publish'] }];
      const claims = { channels, exp: start + seconds };
      const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
      return { authorization: `Bearer ${token}` };
    };
    const clients: Client[] = [];
    for (const seconds of [1_000, 2_000, 3_000, 1e6]) {
      clients.push(await connect(hub, 'room', { headers: await until(seconds) }));
    }
    const [first, second, third, last] = clients as [Client, Client, Client, Client];
    for (const [seconds, ended] of [
      [-7_200, []],
      [1_000, [first]],
      [-3_600, []],
      [2_000, [second]],
      [0, []],
      [3_000, [third]],
      [-7_200, []],
    ] as const) {
      await step(seconds);
      for (const client of ended) {
        assert.deepEqual(await client.end(), { code: 4103, reason: 'token_expired' });
        clients.splice(clients.indexOf(client), 1);
      }
      for (let n = 0; n < 50; n += 1) {
        last.send({ seconds, n });
        for (const client of clients) assert.deepEqual(await client.next(), { seconds, n });
      }
      for (const client of clients) assert.equal(client.closed, undefined, `at ${seconds}`);
      const handshakes = [await until(seconds - 500), await until(seconds + 500)].map((headers) =>
        request(hub.port, 'GET', '/room', { headers: { ...handshake, ...headers } }),
      );
      const statuses = (await Promise.all(handshakes)).map(({ status }) => status);
      assert.deepEqual(statuses, [401, 101], `at ${seconds}`);
    }
    await counted(hub, 'wshub_connections_closed_total', 'reason="token_expired"');
    await last.close();
  });
});
