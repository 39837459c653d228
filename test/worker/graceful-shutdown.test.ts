/** A worker that is replaced or stopped still sends responses, results of handlers, and everything that it has accepted. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  codeOf,
  connect,
  eventually,
  hubFor,
  openSocket,
  temporaryFolder,
  type Answer,
  type HubProcess,
} from '../support.ts';

/** The head of a request that publishes; the body is to follow. */
function publishHead({ token }: HubProcess, bodyBytes: number): string {
  return [
    'POST /channels/news/messages HTTP/1.1',
    'Host: test',
    `Authorization: Bearer ${token}`,
    `Content-Length: ${bodyBytes}`,
    '',
    '',
  ].join('\r\n');
}

/** A bare HTTP answer. */
function parse(answer: string): Answer {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line) => {
    const [name = '', value = ''] = line.split(': ');
    return [name.toLowerCase(), value];
  });
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(headers) as Answer['headers'],
    body: JSON.parse(body) as unknown,
  };
}

const causes = [
  ['a reload', 'SIGHUP', 'new workers serve, the old ones drain', { WSHUB_DRAIN_SPREAD_MS: '1000' }],
  ['a stop', 'SIGTERM', 'hub stops', { WSHUB_STOP_SPREAD_MS: '1000' }],
] as const;

for (const [name, signal, begun, env] of causes) {
  describe(`requests during ${name}`, () => {
    it('are answered with `Connection: close`', async (t) => {
      const hub = await hubFor(t, { workers: 1, env });
      const agent = await hub.publicConnection(() => true);
      const { socket, answer } = await openSocket(hub.port);
      socket.write(publishHead(hub, 6) + '"hal');
      // The acceptor has read it once a later request is answered.
      await hub.admin('GET', '/state', { port: hub.port, agent });

      hub.signal(signal);
      await hub.logged(begun);
      // The drain order takes a moment to reach the worker; until then connections are kept.
      await eventually(async () => {
        const { status, headers } = await hub.admin('GET', '/channels', { port: hub.port, agent });
        assert.equal(status, 200);
        return headers.connection === 'close' ? true : undefined;
      }, 'an answer that ends its connection');
      const reader = signal === 'SIGHUP' ? await connect(hub, 'news') : null;
      socket.write('f"');
      const { status, headers } = parse(await answer);
      assert.equal(status, 202);
      assert.equal(headers.connection, 'close');
      assert.equal(await reader?.next(), reader ? 'half' : undefined);
      if (signal === 'SIGTERM') assert.equal(await hub.ended(), 0);
    });

    it('that are incomplete are answered with 503, not reset', async (t) => {
      const hub = await hubFor(t, { workers: 1, env });
      const head = publishHead(hub, 6);
      const agent = await hub.publicConnection(() => true);
      const parts = ['', 'GET /news HT', `GET /news HTTP/1.1\r\nUpgrade: websocket\r\n`, head, head + '"hal'];
      const sockets = await Promise.all(parts.map(() => openSocket(hub.port)));
      for (const [index, { socket }] of sockets.entries()) if (parts[index]) socket.write(parts[index]);
      await hub.admin('GET', '/state', { port: hub.port, agent });
      agent.destroy();

      hub.signal(signal);
      for (const { socket, answer } of sockets) {
        const refusal = parse(await answer);
        assert.equal(refusal.status, 503);
        assert.equal(codeOf(refusal), 'unavailable');
        assert.equal(socket.errored, null);
      }
      if (signal === 'SIGTERM') assert.equal(await hub.ended(), 0);
    });
  });
}

describe('a handler that computes while its worker is replaced', () => {
  it('publishes its result to all subscribers, also after the close of its client', async (t) => {
    const folder = temporaryFolder(t);
    const [file, mark] = [join(folder, 'handlers.js'), join(folder, 'mark')];
    writeFileSync(
      file,
      `import { existsSync } from 'node:fs';
       import { setTimeout as sleep } from 'node:timers/promises';
       const marked = async () => { while (!existsSync(${JSON.stringify(mark)})) await sleep(20); };
       export default {
         types: { compute: async ({ value }) => { await marked(); return value; } },
         commands: { compute: async (value, { hub }) => { await marked(); hub.publish('news', value); } },
         onConnect: ({ channel, hub }) => {
           const caller = hub.state().workers.find(({ workerId }) => workerId !== hub.workerId);
           if (channel === 'caller') hub.command('compute', 'of a command', caller.workerId).catch(() => undefined);
         },
       };`,
    );
    const env = { WSHUB_HANDLERS: file, WSHUB_DRAIN_SPREAD_MS: '0' };
    const hub = await hubFor(t, { workers: 2, env });
    const client = await connect(hub, 'news');
    client.send({ type: 'compute', value: 'of a handler' });
    client.send({ type: 'compute', value: 'of a handler that waited' });
    client.send('sent behind it');
    await (await connect(hub, 'caller')).close();
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    const reader = await connect(hub, 'news');
    assert.equal((await client.end()).code, 1012);
    writeFileSync(mark, '');
    const got = (await reader.take(4)) as string[];
    assert.deepEqual(got.toSorted(), [
      'of a command',
      'of a handler',
      'of a handler that waited',
      'sent behind it',
    ]);
  });
});
