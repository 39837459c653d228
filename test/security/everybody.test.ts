/** What concerns a crowd at once is done in slices: the worker has turns for everybody else in between. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { clientFrame } from '../client-frame.ts';
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

describe('a client that floods', () => {
  it('has a limited share of each turn of the event loop, and all its messages are handled', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_HANDLERS: join(import.meta.dirname, 'everybody.ts'), WSHUB_INVALID_MESSAGE_LIMIT: '0' },
    });
    const [flooder, witness] = [await connect(hub, 'flood'), await connect(hub, 'witness')];
    const frames = 20_000;
    witness.send({ type: 'count', n: frames });
    const good = clientFrame(0x81, Buffer.from('{"type":"n"}'));
    flooder.socket?.write(Buffer.concat(Array<Buffer>(frames).fill(good)));
    const perTurn = (await witness.next()) as number[];
    assert.equal(
      perTurn.reduce((sum, count) => sum + count),
      frames,
    );
    // The rest of a read is handled after the events of the same turn, and its next part in the next turn.
    assert.ok(Math.max(...perTurn) <= 512, `${Math.max(...perTurn)} in one turn`);
  });

  it('gets an error for each bad message, and a pong for each ping, in order', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_INVALID_MESSAGE_LIMIT: '0' } });
    const client = await connect(hub, 'flood', { autoPong: false });
    const got: string[] = [];
    client.ws.on('pong', (data) => got.push(data.toString()));
    client.ws.on('message', (data) =>
      got.push(/bad_json|binary/.exec((data as Buffer).toString())?.[0] ?? 'good'),
    );
    const wanted: string[] = [];
    const frames: Buffer[] = [];
    for (let n = 0; n < 5_000; n += 1) {
      frames.push(clientFrame(0x81, Buffer.from('?')), clientFrame(0x89, Buffer.from(String(n))));
      frames.push(clientFrame(0x82, Buffer.from('?')));
      wanted.push('bad_json', String(n), 'binary');
    }
    client.socket?.write(Buffer.concat([...frames, clientFrame(0x81, Buffer.from('"the last"'))]));
    await client.take(10_001);
    assert.deepEqual(got, [...wanted, 'good']);
  });
});

describe('a worker that closes thousands of clients', () => {
  it('answers other clients while it deletes a channel, and returns the number of closed ones', async (t) => {
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
