/** What concerns a crowd at once is done in slices: the worker has turns for everybody else in between. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, hubFor, type Client } from '../support.ts';

const crowdSize = 2_000;

async function crowdOn(hub: { port: number }, channel: string): Promise<Client[]> {
  const crowd: Client[] = [];
  while (crowd.length < crowdSize) {
    const more = Array.from({ length: 100 }, () => connect(hub, channel));
    crowd.push(...(await Promise.all(more)));
  }
  return crowd;
}

describe('a worker that closes a crowd', () => {
  it('answers others while it deletes a channel, and says how many it has closed', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_HANDLERS: join(import.meta.dirname, 'everybody.ts'), WSHUB_LOG_LEVEL: 'info' },
    });
    const crowd = await crowdOn(hub, 'crowd');
    const witness = await connect(hub, 'witness');
    witness.send({ type: 'watch', channel: 'crowd' });
    assert.equal(await witness.next(), crowdSize);
    const answer = await hub.admin('DELETE', '/delete/crowd');
    assert.deepEqual(answer.body, { channel: 'crowd', closed: crowdSize });
    const seen = (await witness.next()) as number[];
    // How many were there at each turn in which there were fewer than before.
    const steps = seen.slice(1).map((count, index) => (seen[index] ?? 0) - count);
    assert.ok(steps.length >= 4, `turns while the crowd was closed: ${seen.join(' ')}`);
    assert.ok(Math.max(...steps) < crowdSize / 2, `closed in one turn: ${Math.max(...steps)}`);
    for (const client of crowd) assert.equal((await client.end()).code, 4001);
  });
});
