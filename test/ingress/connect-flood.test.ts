/**
 * Ten thousand connects a second, by a client that node:net is too slow for: the hub lives, lets in what its limits
 * allow, refuses and counts the rest, serves those who are in, and forgets all of it. The rate that was reached is
 * printed; how much of it the hub takes is the machine's affair.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { freshScrape, sum } from '../metrics/exposition.ts';
import { connectApart, eventually, hubFor, type Client, type HubProcess } from '../support.ts';

const script = join(import.meta.dirname, 'connect-flood.pl');
const attackers = 2;
const ratePerSecond = 10_000;
const seconds = 4;

const skip = spawnSync('perl', ['-v']).error !== undefined && 'perl is not installed';

/** @returns the connects made, and the requests that went out on them */
function attack(port: number, forSeconds: number, seed: number): Promise<{ connects: number; sent: number }> {
  const args = [port, ratePerSecond / attackers, forSeconds, seed].map(String);
  const child = spawn('perl', [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => {
      const [connects = 0, sent = 0] = output.split(' ').map(Number);
      if (code === 0) resolve({ connects, sent });
      else reject(new Error(`the attacker ended with ${code}`));
    });
  });
}

async function flood(hub: HubProcess, forSeconds: number) {
  const parts = await Promise.all(
    Array.from({ length: attackers }, (_, seed) => attack(hub.port, forSeconds, seed + 1)),
  );
  return {
    connects: parts.reduce((total, { connects }) => total + connects, 0),
    sent: parts.reduce((total, { sent }) => total + sent, 0),
  };
}

/** Messages go from one to the other until it is over. */
async function converse([one, other]: [Client, Client], over: Promise<unknown>): Promise<number> {
  const state = { over: false };
  const end = () => (state.over = true);
  over.then(end, end);
  let messages = 0;
  do {
    one.send(messages);
    assert.equal(await other.next(), messages);
    messages += 1;
  } while (!state.over);
  return messages;
}

async function onlyBystanders(hub: HubProcess): Promise<void> {
  await eventually(async () => {
    const { body } = await hub.admin('GET', '/state');
    return (body as { totals: { connections: number } }).totals.connections === 2 ? true : undefined;
  }, 'the end of the flood');
}

describe(`${ratePerSecond} connects a second`, { skip }, () => {
  for (const [limit, env, reason, mayOpen] of [
    ['rate', { WSHUB_CONNECT_RATE: '50' }, 'too_many_connects', (time: number) => 2 * 50 * (5 + time)],
    ['number', { WSHUB_MAX_CONNECTIONS: '100' }, 'overloaded', () => Infinity],
  ] as const) {
    it(`above the ${limit} of a worker are refused, counted and released, and delay no other client`, async (t) => {
      const hub = await hubFor(t, { env: { ...watched, ...env, WSHUB_LOG_LEVEL: 'info' } });
      const bystanders = await connectApart(hub, 'bystanders?echo=false');
      await flood(hub, 2); // warm-up: compiled and cached code is not a leak
      await onlyBystanders(hub);
      const held = await holdings(hub);
      const workers = hub.workers.map(({ pid }) => pid);
      const from = performance.now();
      const { samples: before } = await freshScrape(hub);

      const under = flood(hub, seconds);
      const messages = await converse(bystanders, under);
      const { connects, sent } = await under;
      await onlyBystanders(hub);

      const { samples: after } = await freshScrape(hub);
      const within = (performance.now() - from) / 1_000;
      const counted = (name: string, ...labels: string[]) =>
        sum(after, name, ...labels) - sum(before, name, ...labels);
      const opened = counted('wshub_connections_opened_total');
      const refused = counted('wshub_connections_rejected_total', `reason="${reason}"`);
      t.diagnostic(
        `${Math.round(connects / seconds)} connects a second for ${seconds} s, ${sent} requests sent: ` +
          `${opened} let in, ${refused} refused; ${messages} messages between bystanders meanwhile`,
      );
      assert.ok(opened > 0 && refused > 0);
      assert.ok(opened <= mayOpen(within), 'more were let in than the rate allows');
      assert.deepEqual(
        hub.workers.map(({ pid }) => pid),
        workers,
      );
      assert.deepEqual([bystanders[0].closed, bystanders[1].closed], [undefined, undefined]);
      await assertNoGrowth(hub, held);
      await Promise.all(bystanders.map((client) => client.close()));
    });
  }
});
