/** Every example of the documentation, and the example module, run against a hub as they stand there. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { parseApiKeys } from '../../src/config/api-keys-file.ts';
import {
  connect,
  connectApart,
  handshake,
  request,
  eventually,
  hubFor,
  temporaryFolder,
  type Client,
  type HubProcess,
} from '../support.ts';
import { code, root } from './pages.ts';

/** The code of an example, with the ports of a hub of the test's own. */
function example(page: string, name: string, hub: HubProcess): string {
  return code(page, `example: ${name}`)
    .replaceAll('localhost:8080', `127.0.0.1:${hub.port}`)
    .replaceAll('127.0.0.1:9180', `127.0.0.1:${hub.opsPort}`);
}

/** A file with the example of a handlers module. */
function handlersFile(t: TestContext, page: string, name: string): string {
  const folder = join(root, 'test', `.example-${process.pid}-${name}`); // inside, so that it finds wshub/handlers
  mkdirSync(folder);
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'my-handlers.ts');
  writeFileSync(file, code(page, `example: ${name}`));
  return file;
}

function parsed(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

/** The next message of a kind; onDisconnect of others may publish in between. */
async function message(client: Client, wanted?: string): Promise<Record<string, unknown>> {
  for (;;) {
    const next = (await client.next()) as Record<string, unknown>;
    if (wanted === undefined || next['type'] === wanted) return next;
  }
}

describe('README.md', () => {
  it('has a browser example that says hello and shows what comes', async (t) => {
    const hub = await hubFor(t);
    const listener = await connect(hub, 'room1');
    const [, script] = /<script>([^]*?)<\/script>/.exec(example('README.md', 'browser', hub)) ?? [];
    assert.ok(script);
    const lines: string[] = [];
    const page = {
      createElement: () => ({ textContent: '' }),
      getElementById: () => ({ append: (line: { textContent: string }) => lines.push(line.textContent) }),
    };
    // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- the page's script
    const socket = new Function('document', `${script}; return socket`)(page) as WebSocket;
    assert.deepEqual(await message(listener), { text: 'hello from a browser' });
    socket.close();
    assert.equal(parsed(lines[0] ?? '')['status'], 'connected');
  });

  it('has a handler that stamps chat messages and answers one client', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: handlersFile(t, 'README.md', 'handler') } });
    const [one, two] = await connectApart(hub, 'room1');
    one.send({ type: 'chat', text: 'hi' });
    const said = await message(two, 'chat');
    assert.deepEqual([said['text'], said['from'], typeof said['at']], ['hi', one.connectionId, 'number']);
    two.send({ type: 'who' });
    assert.equal(typeof (await message(two, 'who'))['connections'], 'number');
    two.send({ type: 'chat', text: 'bye' });
    do assert.equal((await message(one))['type'], 'chat', 'only its sender gets the answer');
    while (!one.received.some((text) => text.includes('bye')));
  });

  it('has a curl example that publishes', async (t) => {
    const hub = await hubFor(t);
    const listener = await connect(hub, 'room1');
    const script = example('README.md', 'publish', hub);
    const child = spawn('bash', ['-euc', script], { env: { ...process.env, TOKEN: hub.token } });
    assert.deepEqual(await message(listener), { text: 'hello' });
    assert.deepEqual(await once(child, 'close'), [0, null]);
  });
});

describe('docs/protocol.md', () => {
  it('has a Node example that says hello, and stays away after a final close code', async (t) => {
    const hub = await hubFor(t);
    const listener = await connect(hub, 'room1');
    const child = spawn(process.execPath, [
      '--input-type=module',
      '--eval',
      example('docs/protocol.md', 'node', hub),
    ]);
    t.after(() => child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    const output: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    assert.deepEqual(await message(listener), { text: 'hello from Node' });
    assert.equal((await hub.admin('DELETE', '/delete/room1')).status, 200);
    assert.deepEqual(await exited, [0, null]);
    assert.match(output.join(''), /hello from Node[^]*channel_deleted/);
  });

  it('has a Node example that stays away when its token is refused', async (t) => {
    const secret = join(temporaryFolder(t), 'secret');
    writeFileSync(secret, 'a secret of the tests, long enough');
    const hub = await hubFor(t, { env: { WSHUB_JWT_SECRET_FILE: secret } });
    const child = spawn(process.execPath, [
      '--input-type=module',
      '--eval',
      example('docs/protocol.md', 'node', hub),
    ]);
    t.after(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    assert.deepEqual(await once(child, 'close'), [0, null]);
    assert.match(output, /"reason":"unauthorized","code":4004/);
  });
});

describe('docs/protocol.md on server-sent events', () => {
  it('has an example that shows messages, and stays away after a final code', async (t) => {
    const hub = await hubFor(t);
    const script = example('docs/protocol.md', 'event source', hub);
    const child = spawn(process.execPath, ['--experimental-eventsource', '--eval', script]);
    t.after(() => child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const publish = () => hub.admin('POST', '/channels/room1/messages', { body: '{"text":"hello"}' });
    await eventually(async () => {
      await publish();
      return output.includes('{"text":"hello"}') ? true : undefined;
    }, 'the message');
    assert.equal((await hub.admin('DELETE', '/channels/room1')).status, 200);
    assert.deepEqual(await exited, [0, null]);
  });
});

describe('docs/http-api.md', () => {
  it('has curl examples that do what they say', async (t) => {
    const hub = await hubFor(t);
    const [victim, other] = await connectApart(hub, 'room1');
    const script = example('docs/http-api.md', 'curl', hub).replace(
      '$(cat /run/wshub/admin.token)',
      hub.token,
    );
    const child = spawn('bash', ['-euc', script], {
      env: { ...process.env, CONNECTION_ID: victim.connectionId, WORKER_ID: victim.workerId },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    assert.deepEqual(await once(child, 'close'), [0, null]);
    assert.equal((await victim.end()).code, 4000);
    assert.equal((await other.end()).code, 4001);
    const answers = output.replaceAll('}{', '}\n{').split('\n').map(parsed);
    assert.deepEqual(
      answers.map((answer) => Object.keys(answer)[0]),
      ['version', 'channels', 'channel', 'channel', 'channel', 'channel', 'status'],
    );
    assert.ok(other.received.includes('{"text":"from a back end"}'));
    assert.ok(!output.includes('"error"'));
  });
});

describe('docs/http-api.md on API keys', () => {
  const page = 'docs/http-api.md';
  const key = 'a-key-of-the-tests';
  const sha256 = createHash('sha256').update(key).digest('hex');

  it('has an entry of the file that a hub takes', () => {
    const [entry] = JSON.parse(code(page, 'example: api keys')) as object[];
    assert.deepEqual(parseApiKeys(JSON.stringify([{ ...entry, sha256 }])), [{ ...entry, sha256 }]);
  });

  it('has a batch with the answer that it gets', async (t) => {
    const file = join(temporaryFolder(t), 'api-keys.json');
    const entry = { name: 'tests', sha256, scopes: ['publish'], channels: ['news:1'] };
    writeFileSync(file, JSON.stringify([entry]), { mode: 0o600 });
    const hub = await hubFor(t, { env: { WSHUB_API_KEYS_FILE: file } });
    const listener = await connect(hub, 'news:1');
    const { status, body } = await hub.admin('POST', '/publish', {
      headers: { authorization: `Bearer ${key}` },
      body: code(page, 'example: batch'),
    });
    assert.deepEqual([status, body], [200, JSON.parse(code(page, 'example: batch answer'))]);
    assert.deepEqual(await listener.next(), { text: 'to one channel' });
    assert.equal(await listener.next(), 'the same to several');
  });
});

describe('docs/handlers.md', () => {
  it('has handlers of joins and of empty channels', async (t) => {
    const hub = await hubFor(t, {
      env: {
        WSHUB_HANDLERS: handlersFile(t, 'docs/handlers.md', 'members'),
        WSHUB_NAMESPACES: '[{"name":"room","presence":true}]',
      },
    });
    const client = await connect(hub, 'room:1');
    await hub.logged('a client has joined room:1', { channel: 'room:1' });
    await client.close();
    await hub.logged('room:1 is empty');
  });

  it('has hooks that refuse and change', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: handlersFile(t, 'docs/handlers.md', 'hooks') } });
    const refused = await request(hub.port, 'GET', '/staff', { headers: handshake });
    assert.deepEqual([refused.status, refused.body], [403, { error: { code: 1001, message: 'staff only' } }]);
    const client = await connect(hub, 'staff', { headers: { cookie: 'code=sesame' } });
    client.send({ text: 'hi', colour: 'red' });
    assert.deepEqual(await client.next(), { text: 'hi', from: client.connectionId });
    client.send('hi');
    assert.deepEqual(await client.next(), { error: { code: 1002, message: 'a message has a text' } });
  });

  it('has handlers that do what they say', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: handlersFile(t, 'docs/handlers.md', 'handlers') } });
    const [one, two] = await connectApart(hub, 'room1');
    assert.deepEqual(await message(one), { type: 'welcome' });
    assert.deepEqual(await message(two), { type: 'welcome' });
    one.send({ type: 'chat', text: 'hi' });
    const said = await message(two, 'chat');
    assert.deepEqual([said['text'], said['from'], typeof said['at']], ['hi', one.connectionId, 'number']);
    one.ws.close();
    let left;
    do left = await message(two, 'left');
    while (left['id'] !== one.connectionId);
  });
});

describe('docs/authentication.md', () => {
  const secretFile = 'jwt.secret'; // as the examples name it
  const examples = [
    { name: 'shell', tool: 'openssl', command: ['bash', '-euc'] },
    { name: 'node', tool: 'node', command: [process.execPath, '--input-type=module', '--eval'] },
    { name: 'python', tool: 'python3', command: ['python3', '-c'] },
  ];

  for (const { name, tool, command } of examples) {
    it(`mints a token in ${name} with which a client connects`, async (t) => {
      if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) {
        t.skip(`${tool} is not installed`);
        return;
      }
      const folder = temporaryFolder(t);
      writeFileSync(join(folder, secretFile), 'a secret of the tests, long enough\n');
      const hub = await hubFor(t, { env: { WSHUB_JWT_SECRET_FILE: join(folder, secretFile) } });
      await assert.rejects(connect(hub, 'room:1'), /401/);
      const script = code('docs/authentication.md', `mint: ${name}`);
      const [program = '', ...args] = command;
      const token = execFileSync(program, [...args, script], { cwd: folder, encoding: 'utf8' }).trim();
      const [one, two] = [
        await connect(hub, `room:1?token=${token}`),
        await connect(hub, `room:1?token=${token}`),
      ];
      one.send({ text: 'minted' });
      assert.deepEqual(await message(two), { text: 'minted' });
      await assert.rejects(connect(hub, `news?token=${token}`), /403/);
    });
  }
});

describe('deploy/example-handlers.ts', () => {
  const env = { WSHUB_HANDLERS: join(root, 'deploy/example-handlers.ts') };

  it('tells newcomers on any worker what was said, the last fifty at most', async (t) => {
    const hub = await hubFor(t, { env });
    const [one, two] = await connectApart(hub, 'chat');
    for (let index = 0; index < 60; index += 1) one.send({ type: 'chat', text: String(index) });
    let last;
    do last = await message(two, 'chat');
    while (last['text'] !== '59');
    for (let index = 0; index < 2; index += 1) {
      const newcomer = await connect(hub, 'chat');
      const { type, messages } = (await message(newcomer, 'history')) as {
        type: string;
        messages: { text: string }[];
      };
      assert.equal(type, 'history');
      assert.deepEqual([messages.length, messages[0]?.text, messages.at(-1)?.text], [50, '10', '59']);
    }
  });

  it('relays locations and statuses, and refuses what is none to the sender alone', async (t) => {
    const hub = await hubFor(t, { env });
    const [one, two] = await connectApart(hub, 'map');
    const from = one.connectionId;
    one.send({ type: 'location', latitude: 91, longitude: 0 });
    assert.match(String((await message(one, 'refused'))['reason']), /degrees/);
    one.send({ type: 'location', latitude: 52.5, longitude: 13.4 });
    assert.deepEqual(await message(two, 'location'), {
      type: 'location',
      from,
      latitude: 52.5,
      longitude: 13.4,
    });
    one.send({ type: 'status', status: 'away' });
    const statuses: unknown[] = [];
    const readOwn = async () => {
      let status;
      do status = await message(two, 'status');
      while (status['from'] !== from);
      statuses.push(status['status']);
    };
    await readOwn();
    one.ws.close();
    await readOwn();
    assert.deepEqual(statuses, ['away', 'offline']);
  });
});
