/** The boundaries of the primary: messages of workers, and the channel to its parent. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { connectApart, eventually, hubFor, request, temporaryFolder } from '../support.ts';

/** Messages that are malformed or impossible for a worker. */
const hostile = [
  null,
  7,
  'text',
  [],
  {},
  { kind: 'nope' },
  { kind: 'counted', snapshot: { x: [1] } },
  { kind: 'counted', snapshot: { wshub_worker_up: [{ value: 'many' }] } },
  { kind: 'counted' },
  { kind: 'request', id: 1, action: 'nope', input: {} },
  { kind: 'request', id: 1, action: 'list_channels' },
  { kind: 'request', id: 1, action: 'toString', input: null },
  { kind: 'failed' },
  { kind: 'pong', connections: -1, linked: 1, rssBytes: null },
  { kind: 'clients', count: 'x' },
  { kind: 'filled', index: -1 },
  { kind: 'part' },
  { kind: 'drained', forced: null },
  { cmd: 'NODE_CLUSTER', act: 'queryServer', seq: 1, address: {} }, // read by node:cluster, which throws
];

describe('the primary', () => {
  it('drops, counts and logs what handlers send over its channel, and serves on', async (t) => {
    const file = join(temporaryFolder(t), 'hostile.mjs');
    writeFileSync(
      file,
      `const send = (message) => process.send(message, undefined, undefined, () => undefined);
       export default { types: { attack: () => {
         for (const message of ${JSON.stringify(hostile)}) send(message);
         for (let id = 1; id < 300; id += 1) send({ kind: 'part', id, part: { wshub_worker_up: 7 } });
         process.emit('message', null);
         process.emit('message', { kind: 'ask', id: 1, action: 'nope' });
         process.emit('message', { kind: 'listen', id: 1, index: 0 });
         return { sent: true };
       } } };`,
    );
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: file } });
    const [one, other] = await connectApart(hub, 'room');
    one.send({ type: 'attack' });
    assert.deepEqual(await one.next(), { sent: true });
    await hub.logged('IPC message dropped: it is unknown or malformed', { worker: 'primary' });
    await hub.logged('uncaught exception; the hub keeps serving', { level: 'fatal' });
    other.send('still here');
    assert.deepEqual(await one.next(), 'still here');
    process.kill(hub.pidOf(one.workerId), 'SIGKILL'); // its counters move to the retired sum
    await hub.logged('worker died', { workerId: one.workerId });
    await hub.logged('worker ready', { workerId: 'w3' });
    const { status } = await hub.admin('GET', '/channels');
    assert.equal(status, 200);
    const response = await fetch(`http://127.0.0.1:${hub.opsPort}/metrics`);
    const text = await response.text();
    assert.match(text, /wshub_primary_errors_total\{reason="uncaught_exception"\} 1\n/);
    const dropped = Number(/errors_total\{reason="invalid_message"\} (\d+)/.exec(text)?.[1]);
    assert.equal(dropped, hostile.length - 1);
    assert.equal(hub.log.filter(({ msg }) => msg === 'worker died').length, 1);
  });

  it('serves on when its parent closes the channel that it had made', async (t) => {
    const [folder, cli] = [temporaryFolder(t), join(import.meta.dirname, '../../src/cli.ts')];
    const env = {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
      WSHUB_WORKERS: '1',
      WSHUB_RUNTIME_DIR: folder,
    };
    const child = fork(cli, [], { env, silent: true });
    t.after(() => child.kill('SIGKILL'));
    child.disconnect(); // before the hub says `ready`
    const log: { msg: string; opsPort?: number }[] = [];
    assert.ok(child.stdout);
    createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line) as { msg: string }));
    const logged = (msg: string) => eventually(() => log.find((line) => line.msg === msg), msg);
    const { opsPort = 0 } = await logged('hub ready');
    child.kill('SIGHUP'); // its end is told to the parent too
    await logged('reload done');
    assert.equal((await request(opsPort, 'GET', '/readyz')).status, 200);
    const exit = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });
});
