/** `npm run test:cluster`: two machines behind a real haproxy, as `npm run cluster` starts them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { reservedPort } from '../reserved-port.ts';
import { cleanEnvironment, connect, eventually, request, type Client } from '../support.ts';

const script = join(import.meta.dirname, '../../scripts/cluster.ts');

it('two machines behind one proxy carry messages, and a client resumes on either', async (t) => {
  const port = reservedPort();
  const base = reservedPort();
  for (let taken = 1; taken < 5; taken++) reservedPort();
  const child = spawn(process.execPath, [script], {
    env: cleanEnvironment({ CLUSTER_PORT: String(port), BASE_PORT: String(base) }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  assert.match(line, /^ready: ws:/);

  const headers = { authorization: 'Bearer cluster' };
  const machineOf = async ({ connectionId }: Client) => {
    const { body } = await request(base + 2, 'GET', `/connections/${connectionId}`, { headers });
    return (body as { machine: string }).machine;
  };
  const clients = new Map<string, Client>();
  await eventually(async () => {
    const client = await connect({ port }, 'log:a?envelope=true').catch(() => null); // the proxy checks its servers first
    if (!client) return undefined;
    clients.set(await machineOf(client), client);
    return clients.size === 2 ? true : undefined;
  }, 'a client on each machine');
  const [one, other] = [clients.get('a'), clients.get('b')];
  assert.ok(one && other);
  one.send('from a');
  const first = (await other.next()) as { data: string; epoch: string; offset: number };
  assert.equal(first.data, 'from a');
  other.send('from b');
  const since = `${first.epoch}:${first.offset}`;
  for (let attempt = 0; attempt < 4; attempt++) {
    const back = await connect({ port }, `log:a?envelope=true&since=${since}`);
    assert.equal(((await back.next()) as { data: string }).data, 'from b');
  }
  const refused = await fetch(`http://127.0.0.1:${port}/channels`, { headers });
  assert.equal(refused.status, 404, 'admin routes are not for the world');
});
