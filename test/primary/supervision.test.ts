/** Workers that hang or do not start, and workers whose primary dies. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  codeOf,
  connect,
  connectApart,
  connectWhere,
  eventually,
  hubFor,
  openSocket,
  request,
  runCli,
  temporaryFolder,
  type Answer,
} from '../support.ts';

const functions = join(import.meta.dirname, '../handlers/functions.ts');

function messageOf({ body }: Answer): string {
  return (body as { error: { message: string } }).error.message;
}

describe('a worker that hangs', { concurrency: true }, () => {
  it('makes admin requests 504, which name it, until it answers again', async (t) => {
    const hub = await hubFor(t);
    const [one, other] = await connectApart(hub, 'hang');
    const pid = hub.pidOf(other.workerId);
    const agent = await hub.publicConnection((workerId) => workerId === one.workerId);
    process.kill(pid, 'SIGSTOP');
    const answers = await Promise.all([
      hub.admin('GET', '/state'),
      hub.admin('GET', '/channels/hang', { port: hub.port, agent }),
      hub.admin('GET', '/channels'),
    ]);
    const probe = await request(hub.opsPort, 'GET', '/healthz');
    process.kill(pid, 'SIGCONT');
    for (const answer of answers) {
      assert.equal(answer.status, 504);
      assert.equal(codeOf(answer), 'worker_timeout');
      assert.match(messageOf(answer), new RegExp(`worker ${other.workerId} .*pid ${pid}`));
    }
    assert.equal(probe.status, 200);
    const { status, body } = await hub.admin('DELETE', '/delete/hang');
    assert.deepEqual({ status, body }, { status: 200, body: { channel: 'hang', closed: 2 } });
    assert.deepEqual(await other.end(), { code: 4001, reason: 'channel_deleted' });
    agent.destroy();
  });

  it('leaves the outcome of a publish unknown, and is passed over once it is silent', async (t) => {
    const hub = await hubFor(t);
    const listener = await connectWhere(hub, 'hang', (workerId) => workerId === 'w2');
    process.kill(hub.pidOf('w1'), 'SIGSTOP');
    const statuses: number[] = [];
    while (statuses.at(-1) !== 202) {
      const answer = await hub.admin('POST', '/channels/hang/messages', { body: '"published"' });
      statuses.push(answer.status);
      if (answer.status === 202) continue;
      assert.deepEqual([answer.status, codeOf(answer)], [504, 'worker_timeout']);
      assert.match(messageOf(answer), /worker w1 .*outcome unknown/);
      assert.doesNotMatch(messageOf(answer), /repeat/);
    }
    assert.equal(statuses[0], 504);
    assert.ok(!hub.log.some(({ msg }) => msg === 'worker died'), 'w2 publishes long before w1 is killed');
    assert.equal(await listener.next(), 'published');
    process.kill(hub.pidOf('w1'), 'SIGCONT');
  });

  it('is killed after 10 s and replaced, while the others serve; joins that waited for it continue', async (t) => {
    const hub = await hubFor(t);
    const served = await connectWhere(hub, 'served', (workerId) => workerId === 'w1');
    const lost = await connectWhere(hub, 'lost', (workerId) => workerId === 'w2');
    process.kill(hub.pidOf('w2'), 'SIGSTOP');
    // One of them is passed to the hanging worker, which never accepts it.
    const joins = Array.from({ length: 4 }, () => connect(hub, 'new'));
    served.send('still here');
    assert.equal(await served.next(), 'still here');
    const died = await hub.logged('worker died', { workerId: 'w2' });
    assert.deepEqual([died['reason'], died['signal']], ['hang', 'SIGKILL']);
    assert.equal((await lost.end()).code, 1006);
    await hub.logged('worker ready', { slot: died['slot'], workerId: 'w3' });
    const joined = await Promise.all(joins);
    const late = await connectWhere(hub, 'new', (workerId) => workerId === 'w3');
    late.send('welcome');
    for (const client of joined) assert.equal(await client.next(), 'welcome');
  });

  it('in an endless handler delays no client of the others', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: functions } });
    const author = await connectWhere(hub, 'loop', (workerId) => workerId === 'w1');
    const reader = await connectWhere(hub, 'loop', (workerId) => workerId === 'w1');
    const looping = await connectWhere(hub, 'loop', (workerId) => workerId === 'w2');
    looping.send({ type: 'loop' });
    let sent = 0;
    while (!hub.log.some(({ msg, workerId }) => msg === 'worker ready' && workerId === 'w3')) {
      author.send(sent);
      for (const client of [author, reader]) assert.equal(await client.next(), sent);
      sent += 1;
      await sleep(20); // a machine with two processors has one left for all the tests
    }
    assert.equal((await looping.end()).code, 1006);
    const { reason, signal, advice } = await hub.logged('worker died', { workerId: 'w2' });
    assert.deepEqual({ reason, signal }, { reason: 'hang', signal: 'SIGKILL' });
    assert.match(String(advice), /event loop was blocked for 10000 ms: look for a handler that loops/);
    const back = await connectWhere(hub, 'loop', (workerId) => workerId === 'w3');
    author.send('over');
    for (const client of [author, reader, back]) assert.equal(await client.next(), 'over');
  });

  it('leaves waiting clients to its successor, if it is the only worker', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    process.kill(hub.pidOf('w1'), 'SIGSTOP');
    const { socket, answer } = await openSocket(hub.port);
    socket.write('GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n');
    await hub.logged('worker died', { workerId: 'w1' });
    assert.match(await answer, /^HTTP\/1.1 426 /);
    await hub.logged('worker ready', { workerId: 'w2' });
  });
});

describe('workers that cannot be started', () => {
  it('end the hub after five failed starts, with one line that says why', async (t) => {
    const folder = temporaryFolder(t);
    const handlers = join(folder, 'exits.ts');
    writeFileSync(handlers, 'process.exit(7);\n');
    const { code, stdout, stderr } = await runCli([], {
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
      WSHUB_WORKERS: '2',
      WSHUB_HANDLERS: handlers,
      TMPDIR: folder,
    });
    assert.equal(code, 1);
    assert.match(stderr, /^wshub: no worker can be started; .*exit code 7.*\n$/);
    const deaths = stdout.split('\n').filter((line) => line.includes('worker died'));
    assert.ok(deaths.length >= 10 && deaths.length < 20, `${deaths.length} failed starts`); // 5 in both slots
    assert.deepEqual(readdirSync(folder), ['exits.ts']);
  });
});

describe('a primary that is killed', () => {
  it('ends its workers, which remove the runtime directory that it created', async (t) => {
    const folder = temporaryFolder(t);
    const hub = await hubFor(t, { env: { WSHUB_RUNTIME_DIR: undefined, TMPDIR: folder } });
    const started = await hub.logged('hub starts');
    const runtimeDir = String(started['runtimeDir']);
    assert.equal(existsSync(join(runtimeDir, 'w1.sock')), true);
    const client = await connect(hub, 'orphans');
    hub.signal('SIGKILL');
    assert.equal((await client.end()).code, 1006);
    assert.equal(await hub.ended(), 'SIGKILL');
    await eventually(() => (existsSync(runtimeDir) ? undefined : true), 'the end of the runtime directory');
  });
});
