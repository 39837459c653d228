/** A worker that replaces another learns of thousands of channels over several turns, and reaches all of them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connect, eventually, hubFor, type Client } from '../support.ts';

it('a new worker reaches every channel of its sibling', async (t) => {
  const hub = await hubFor(t);
  const clients: Client[] = [];
  while (clients.length < 4_500) {
    const first = clients.length;
    const round = Array.from({ length: 100 }, (_, n) => connect(hub, `many/${first + n}`));
    clients.push(...(await Promise.all(round)));
  }
  const [dying, staying] = hub.workers.map(({ workerId }) => workerId);
  assert.ok(dying !== undefined && staying !== undefined);
  process.kill(hub.pidOf(dying), 'SIGKILL');
  const fresh = await eventually(
    () => hub.workers.find(({ workerId }) => workerId !== dying && workerId !== staying)?.workerId,
    'the new worker',
  );
  const left = clients.filter(({ workerId }) => workerId === staying);
  const agent = await hub.publicConnection((workerId) => workerId === fresh);
  const body = JSON.stringify(left.map(({ channel }) => ({ channel, data: channel })));
  assert.equal((await hub.admin('POST', '/publish', { port: hub.port, agent, body })).status, 200);
  agent.destroy();
  for (const client of left) assert.equal(await client.next(), client.channel);
  for (const client of clients) client.ws.terminate();
});
