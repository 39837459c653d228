/** A worker that stands still while more is published to its clients than a link may buffer (64 MiB). */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import type { HubState } from '../../src/hub.ts';
import { linkMaxBytes } from '../../src/relay/mesh/tuning.ts';
import { scrape, sum } from '../metrics/exposition.ts';
import { connect, connectWhere, eventually, hubFor, type Client } from '../support.ts';

const messageBytes = 512 * 1024;
/** published in one turn of the event loop, and in all: a quarter more than fits */
const perTurn = 16;
const total = (1.25 * linkMaxBytes) / messageBytes;

/** The hub as the client's worker knows it. */
async function stateAt(client: Client): Promise<HubState> {
  client.send({ type: 'state' });
  return (await client.next()) as HubState;
}

/** Whom the client's worker takes to be on the channel. */
async function holdersAt(client: Client, channel: string): Promise<string[]> {
  const { channels } = await stateAt(client);
  const found = channels.find((candidate) => candidate.channel === channel);
  return found?.workers.map(({ workerId }) => workerId) ?? [];
}

function numbersOf(messages: readonly unknown[]): number[] {
  return messages.map((message) => (message as { n: number }).n);
}

it('loses the publications above the limit for its own clients, notifies them, and knows all interest afterwards', async (t) => {
  const hub = await hubFor(t, {
    workers: 3,
    env: {
      WSHUB_HANDLERS: join(import.meta.dirname, '../handlers/functions.ts'),
      WSHUB_OUTBOX_MAX_BYTES: String(4 * linkMaxBytes),
      WSHUB_OUTBOX_SOFT_BYTES: String(4 * linkMaxBytes),
    },
  });
  const on = (workerId: string) => (other: string) => other === workerId;
  const author = await connectWhere(hub, 'author', on('w1'));
  const leaving = await connectWhere(hub, 'left meanwhile', on('w1'));
  const served = await connectWhere(hub, 'heavy', on('w2'));
  const held = await connectWhere(hub, 'heavy', on('w3'));

  const stopped = hub.pidOf('w3');
  process.kill(stopped, 'SIGSTOP');
  hub.signal('SIGSTOP'); // a primary that was stopped itself does not treat missing pongs as a hang
  const atServed: number[] = [];
  for (let from = 0; from < total; from += perTurn) {
    author.send({ type: 'flood', channel: 'heavy', from, count: perTurn, bytes: messageBytes });
    assert.equal(await author.next(), 'flooded');
    atServed.push(...numbersOf(await served.take(perTurn)));
  }
  hub.signal('SIGCONT');
  // Interest that comes and goes meanwhile; one of the joins is at w1.
  await leaving.close();
  const joins = Promise.all(Array.from({ length: 16 }, () => connect(hub, 'joined meanwhile')));
  await eventually(
    async () => ((await holdersAt(author, 'joined meanwhile')).includes('w1') ? true : undefined),
    'a join at w1',
  );
  process.kill(stopped, 'SIGCONT');
  const joined = await joins;
  assert.ok(joined.some(({ workerId }) => workerId === 'w1'));

  author.send({ type: 'flood', channel: 'heavy', from: total, count: 1, bytes: 1 });
  atServed.push(...numbersOf(await served.take(1)));
  assert.deepEqual(
    atServed,
    Array.from({ length: total + 1 }, (_, n) => n),
  );
  const got: number[] = [];
  let skipped = 0;
  while (got.at(-1) !== total) {
    const message = (await held.next()) as { n: number; status?: string; count: number };
    if (message.status === undefined) got.push(message.n);
    else {
      assert.equal(message.status, 'skipped');
      assert.equal(skipped, 0, 'it is told once, where the gap is');
      assert.equal(got.at(-1), got.length - 1, 'between the last before the gap and the first behind it');
      skipped = message.count;
    }
  }
  const kept = got.length - 1;
  assert.deepEqual(
    got,
    [...Array.from({ length: kept }, (_, n) => n), total],
    'what fits, then what came after',
  );
  const mostKept = linkMaxBytes / messageBytes + 2 * perTurn;
  assert.ok(kept >= linkMaxBytes / messageBytes - perTurn && kept < mostKept, `${kept} messages were kept`);
  const { samples } = await scrape(hub);
  const dropped = 'reason="relay_backpressure"';
  assert.equal(sum(samples, 'wshub_messages_dropped_total', dropped), total - kept);
  assert.equal(skipped, total - kept);
  t.diagnostic(`${kept} of ${total} messages were kept`);

  const witness = await connectWhere(hub, 'joined meanwhile', on('w3'));
  assert.deepEqual(await holdersAt(witness, 'left meanwhile'), []);
  witness.send('welcome');
  for (const client of joined) assert.equal(await client.next(), 'welcome');
  assert.deepEqual(
    hub.log.filter(({ msg }) => msg === 'worker died' || msg === 'link closed'),
    [],
  );
});
