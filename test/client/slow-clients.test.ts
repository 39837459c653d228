/** Readers that stop reading: their cost, their notices, and no effect on other clients. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openStream } from '../event-source.ts';
import { counted, freshScrape, scrape, sum as sumOf } from '../metrics/exposition.ts';
import {
  connect,
  eventually,
  hubFor,
  residentBytes,
  runCli,
  type Client,
  type HubProcess,
} from '../support.ts';

const kiB = 1024;

async function connections(hub: HubProcess): Promise<number> {
  const { body } = await hub.admin('GET', '/state');
  return (body as { totals: { connections: number } }).totals.connections;
}

/** Publishes numbered messages, each after the reader has read the last few, until `enough`. */
async function pump(writer: Client, reader: Client, enough: () => Promise<boolean>): Promise<number> {
  const filler = 'x'.repeat(32 * kiB);
  let sent = 0;
  while (!(await enough())) {
    for (let i = 0; i < 8; i += 1) writer.send({ n: sent++, filler });
    const messages = (await reader.take(8)) as { n: number }[];
    assert.deepEqual(
      messages.map(({ n }) => n),
      Array.from({ length: 8 }, (_, i) => sent - 8 + i),
    );
    reader.received.fill(''); // so that the test itself stays small
  }
  return sent;
}

const env = {
  WSHUB_OUTBOX_SOFT_BYTES: String(64 * kiB),
  WSHUB_OUTBOX_MAX_BYTES: String(256 * kiB),
  WSHUB_BYTE_RATE: '0',
  WSHUB_MESSAGE_RATE: '0',
};

describe('the policy disconnect', () => {
  it('closes 1 000 stalled readers with 4100; others lose nothing, memory stays under the sum of limits', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const count = 1_000;
    const stalled: Client[] = [];
    while (stalled.length < count) {
      stalled.push(...(await Promise.all(Array.from({ length: 100 }, () => connect(hub, 'room')))));
    }
    const [writer, reader] = [await connect(hub, 'room?echo=false'), await connect(hub, 'room')];
    const pid = hub.workers[0]?.pid ?? 0;
    const before = residentBytes(pid);
    let peak = 0;
    for (const client of stalled) client.socket?.pause();
    await pump(writer, reader, async () => {
      peak = Math.max(peak, residentBytes(pid));
      return (await connections(hub)) === 2;
    });
    const sum = count * 256 * kiB;
    assert.ok(peak - before < sum, `${peak - before} bytes more, limits' sum ${sum}`);
    const closed = async () => {
      const { samples } = await scrape(hub);
      const total = sumOf(samples, 'wshub_connections_closed_total', 'reason="slow_consumer"');
      return total === count ? true : undefined;
    };
    await eventually(closed, 'the count of those that were closed');
    t.diagnostic(`${peak - before} bytes more at the peak; the sum of the limits is ${sum}`);
    const [first] = stalled;
    first?.socket?.resume();
    await Promise.all([writer.close(), reader.close()]);
    for (const client of stalled) client.ws.terminate();
  });

  it('tells a reader that wakes up in time', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const stalled = await connect(hub, 'room');
    const [writer, reader] = [await connect(hub, 'room?echo=false'), await connect(hub, 'room')];
    stalled.socket?.pause();
    // Closing takes the hub's patience for the answer to its close frame; the reader wakes up before.
    await pump(writer, reader, async () => {
      const { body } = await hub.admin('GET', '/channels/room');
      return (body as { total: number }).total === 2;
    });
    stalled.socket?.resume();
    const { code } = await stalled.end();
    assert.equal(code, 4100);
    assert.equal(stalled.received.at(-1), '{"status":"disconnected","reason":"slow_consumer","code":4100}');
    await counted(hub, 'wshub_connections_closed_total', 'reason="slow_consumer"');
    await Promise.all([writer.close(), reader.close()]);
  });
});

describe('the policy skip', () => {
  it('tells an event stream of its skipped messages as an event of its own', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_SLOW_POLICY: 'skip' } });
    const [stalled] = await openStream(hub, 'room');
    const [writer, reader] = [await connect(hub, 'room?echo=false'), await connect(hub, 'room')];
    stalled.response?.pause();
    let rounds = 0;
    const sent = await pump(writer, reader, async () => {
      rounds += 1;
      if (rounds % 20 > 0) return false; // a scrape takes a second
      const { samples } = await freshScrape(hub);
      return sumOf(samples, 'wshub_messages_dropped_total', 'reason="slow_consumer"') > 0;
    });
    stalled.response?.resume();
    writer.send({ n: sent, filler: '' });
    let expected = 0;
    while (expected <= sent) {
      const { event, data } = await stalled.next();
      const { n, status, count = 0 } = JSON.parse(data) as { n?: number; status?: string; count?: number };
      if (event === 'message') {
        assert.equal(n, expected++);
      } else {
        assert.deepEqual([event, status], ['skipped', 'skipped']);
        expected += count;
      }
    }
    assert.equal(expected, sent + 1, 'every message was either sent or counted');
    assert.ok(stalled.events.some(({ event }) => event === 'skipped'));
    stalled.close();
  });

  it('skips messages and sends their number in their place', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { ...env, WSHUB_SLOW_POLICY: 'skip' } });
    const stalled = await connect(hub, 'room');
    const [writer, reader] = [await connect(hub, 'room?echo=false'), await connect(hub, 'room')];
    stalled.socket?.pause();
    let rounds = 0;
    // The buffer stands still once messages are left out.
    let last = -1;
    let still = 0;
    await pump(writer, reader, async () => {
      rounds += 1;
      const { body } = await hub.admin('GET', '/channels/room');
      const { connections: list } = body as {
        connections: { connectionId: string; bufferedBytes: number }[];
      };
      const bytes =
        list.find(({ connectionId }) => connectionId === stalled.connectionId)?.bufferedBytes ?? 0;
      still = bytes > 256 * kiB && bytes === last ? still + 1 : 0;
      last = bytes;
      return still > 5;
    });
    stalled.socket?.resume();
    await eventually(
      () => stalled.received.find((text) => text.includes('"skipped"')),
      `the notice, after ${rounds} rounds`,
    );
    const filler = '';
    writer.send({ n: -1, filler });
    const wait = () => stalled.received.find((text) => text.includes('"n":-1'));
    await eventually(wait, 'the message after the notice');
    let expected = 0;
    for (const text of stalled.received) {
      const message = JSON.parse(text) as { n?: number; status?: string; count?: number };
      if (message.status === 'skipped') expected += message.count ?? 0;
      else if (message.n !== -1) assert.equal(message.n, expected++);
    }
    assert.equal(expected, rounds > 1 ? (rounds - 1) * 8 : 0, 'every message was either sent or counted');
    assert.equal(stalled.closed, undefined);
    await counted(hub, 'wshub_messages_dropped_total', 'reason="slow_consumer"');
    await Promise.all([stalled, writer, reader].map((client) => client.close()));
  });
});

describe('the outbox limits', () => {
  it('must not contradict each other', async () => {
    const { code, stderr } = await runCli(['check-config'], {
      WSHUB_OUTBOX_SOFT_BYTES: '5000',
      WSHUB_OUTBOX_MAX_BYTES: '4000',
    });
    assert.equal(code, 1);
    assert.match(stderr, /WSHUB_OUTBOX_SOFT_BYTES 5000 is more than WSHUB_OUTBOX_MAX_BYTES 4000/);
  });
});
