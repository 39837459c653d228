/** `npm run test:proxy`: Debian's nginx and haproxy in front of a hub, with the files of deploy/, TLS included. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import tls from 'node:tls';
import https from 'node:https';
import { WebSocket, type ClientOptions } from 'ws';
import { settingsTable } from '../../src/config/settings.ts';
import type { Actions } from '../../src/admin/actions.ts';
import { adminRequests, spellingsOf } from '../http/spellings.ts';
import { eventually, hubFor, temporaryFolder, type HubProcess } from '../support.ts';

const deploy = join(import.meta.dirname, '../../deploy');

/** Without IPv6 its listeners are left out, as the files say. */
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Context = Parameters<typeof temporaryFolder>[0] & Parameters<typeof hubFor>[0];

interface Proxy {
  pid: number;
  port: number;
  folder: string;
}

/** What a test changes in a file of deploy/. */
type Change = (text: string) => string;
const asItIs: Change = (text) => text;

/** The name of the file in deploy/ with this hub's ports and this folder's files in it. */
function adapted(file: string, folder: string, hub: HubProcess, port: number, change: Change): string {
  const text = change(readFileSync(join(deploy, file), 'utf8'))
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${hub.port}`)
    .replaceAll('127.0.0.1:9180', `127.0.0.1:${hub.opsPort}`)
    .replaceAll('listen 443', `listen 127.0.0.1:${port}`)
    .replaceAll('bind 0.0.0.0:443', `bind 127.0.0.1:${port}`)
    .replaceAll(/^.* \[::\]:443 .*\n/gm, (line) => (hasIpv6 ? line.replace('[::]:443', `[::1]:${port}`) : ''))
    .replaceAll('/run/haproxy/', `${folder}/`)
    .replaceAll('/etc/ssl/wshub/', `${folder}/`)
    .replace('maxconn 100000', 'maxconn 1000')
    .replace('worker_rlimit_nofile 262144', 'worker_rlimit_nofile 2048')
    .replace('worker_connections 65536', 'worker_connections 512')
    .replaceAll('/run/nginx.pid', `${folder}/nginx.pid`)
    .replaceAll('/var/log/nginx/error.log', 'stderr');
  const adaptedFile = join(folder, file);
  writeFileSync(adaptedFile, text);
  return adaptedFile;
}

function certificate(folder: string): void {
  const [key, chain] = [join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '1',
      '-keyout',
      key,
      '-out',
      chain,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  writeFileSync(join(folder, 'haproxy.pem'), readFileSync(chain, 'utf8') + readFileSync(key, 'utf8'));
}

/** Starts a proxy in the foreground; ended with the test. */
async function start(
  t: Context,
  hub: HubProcess,
  name: 'nginx' | 'haproxy',
  change = asItIs,
): Promise<Proxy> {
  const folder = temporaryFolder(t);
  certificate(folder);
  const port = await freePort();
  const path = '/usr/sbin';
  let child;
  if (name === 'nginx') {
    const file = adapted('nginx.conf', folder, hub, port, change);
    execFileSync(`${path}/nginx`, ['-t', '-q', '-c', file], { stdio: 'inherit' });
    child = spawn(`${path}/nginx`, ['-c', file, '-g', 'daemon off;'], { stdio: 'inherit' });
  } else {
    const file = adapted('haproxy.cfg', folder, hub, port, change);
    execFileSync(`${path}/haproxy`, ['-c', '-q', '-f', file], { stdio: 'inherit' });
    child = spawn(`${path}/haproxy`, ['-W', '-q', '-f', file], { stdio: 'ignore' }); // as Debian's unit does
  }
  const proxy = child;
  t.after(async () => {
    if (proxy.exitCode !== null) return;
    const ended = new Promise((resolve) => proxy.once('exit', resolve));
    proxy.kill('SIGTERM');
    await ended;
  });
  await eventually(async () => ((await statusOf(port, '/')) === 426 ? true : undefined), `${name} to serve`);
  return { pid: proxy.pid ?? 0, port, folder };
}

/** The status of an answer over TLS; 0 where there is none. */
function statusOf(port: number, path: string, host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve) => {
    https
      .get({ host, port, path, rejectUnauthorized: false, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
      .on('error', () => {
        resolve(0);
      });
  });
}

/** The status of a request whose target goes out as it is, with the hub's admin token; 0 where there is none. */
function statusOfTarget(hub: HubProcess, port: number, method: string, target: string): Promise<number> {
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  const head = [
    `${method} ${target} HTTP/1.1`,
    'host: hub.example',
    `authorization: Bearer ${hub.token}`,
    'content-length: 1',
    'connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n1`, 'latin1');
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  // A proxy that refuses may reset the connection behind its answer, because of the body that it has not read.
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0));
    });
  });
}

/** A client over TLS, and its input; rejects if it is refused. */
function open(
  { port, folder }: Proxy,
  path: string,
  options: ClientOptions = {},
): Promise<{ ws: WebSocket; received: string[] }> {
  const ca = readFileSync(join(folder, 'fullchain.pem'));
  const ws = new WebSocket(`wss://127.0.0.1:${port}/${path}`, { ca, ...options });
  const received: string[] = [];
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('message', (data) => {
      received.push((data as Buffer).toString());
      if (received.length === 1) resolve({ ws, received });
    });
  });
}

for (const name of ['nginx', 'haproxy'] as const) {
  describe(`${name} in front`, () => {
    before(() => {
      execFileSync('openssl', ['version'], { stdio: 'ignore' });
    });

    it('passes WebSockets on over TLS, and no admin route', async (t) => {
      const hub = await hubFor(t);
      const proxy = await start(t, hub, name);
      const [one, other] = [await open(proxy, 'a'), await open(proxy, 'a')];
      assert.match(one.received[0] ?? '', /"connected"/);
      one.ws.send('{"n":1}');
      await eventually(() => (other.received.includes('{"n":1}') ? true : undefined), 'the message');
      one.ws.terminate();
      other.ws.terminate();
    });

    it('lets no spelling of an admin route through, the token notwithstanding', async (t) => {
      const hub = await hubFor(t);
      const proxy = await start(t, hub, name);
      const { ws } = await open(proxy, 'room');
      for (const [method, path] of adminRequests) {
        assert.equal(await statusOfTarget(hub, proxy.port, method, path), 404, path);
        const ask = async (spelling: string) => {
          const status = await statusOfTarget(hub, proxy.port, method, spelling);
          assert.ok([400, 404, 426].includes(status), `${method} ${JSON.stringify(spelling)}: ${status}`);
        };
        await Promise.all(spellingsOf(path).map(ask));
      }
      const acted = hub.log.filter(({ msg }) => msg === 'admin action');
      assert.deepEqual(acted, []);
      ws.terminate();
      for (const channel of ['STATE', 'Delete/room']) (await open(proxy, channel)).ws.terminate();
    });

    it('lets clients move while the hub reloads, and passes the close on', async (t) => {
      const hub = await hubFor(t, { env: { WSHUB_DRAIN_SPREAD_MS: '4000' } });
      const proxy = await start(t, hub, name);
      const clients = await Promise.all(Array.from({ length: 8 }, () => open(proxy, 'a')));
      const closes = clients.map(
        ({ ws }) =>
          new Promise<string>((resolve) =>
            ws.once('close', (code, reason) => {
              resolve(`${code} ${reason.toString().replace(/\d+/, 'N')}`);
            }),
          ),
      );
      hub.signal('SIGHUP');
      while (!hub.log.some(({ msg }) => msg === 'reload done')) {
        const { ws } = await open(proxy, 'b'); // refused: the test fails
        ws.terminate();
      }
      assert.deepEqual(new Set(await Promise.all(closes)), new Set(['1012 restarting retry=N']));
    });

    it('survives the restart of a worker', async (t) => {
      const hub = await hubFor(t);
      const proxy = await start(t, hub, name);
      process.kill(hub.pidOf('w1'), 'SIGKILL');
      await hub.logged('worker ready', { workerId: 'w3' });
      const { ws } = await open(proxy, 'a');
      ws.terminate();
    });

    it('tells a hub that trusts it whose address and page it is, whatever the client says', async (t) => {
      const hub = await hubFor(t, { env: { WSHUB_TRUST_PROXY: '1' } });
      const proxy = await start(t, hub, name);
      const from = (page: string) => ({
        localAddress: '127.0.0.9',
        headers: {
          host: 'hub.example',
          origin: page,
          'x-forwarded-for': '203.0.113.7',
          'x-forwarded-host': 'evil.example',
        },
      });
      const { ws } = await open(proxy, 'a', from('https://hub.example'));
      const { connections } = (await hub.admin('GET', '/channels/a'))
        .body as Actions['show_channel']['answer'];
      assert.deepEqual(
        connections.map(({ remoteAddress }) => remoteAddress),
        ['127.0.0.9'],
      );
      await assert.rejects(open(proxy, 'a', from('https://evil.example')), /403/);
      ws.terminate();
    });

    it('keeps a client that says nothing, because the hub pings it', async (t) => {
      const pingIntervalMs = 500;
      const hub = await hubFor(t, { env: { WSHUB_PING_INTERVAL_MS: String(pingIntervalMs) } });
      let patienceMs = 0;
      const proxy = await start(t, hub, name, (text) =>
        text.replace(/(proxy_read_timeout|timeout tunnel) (\d+)s/, (_, setting: string, seconds: string) => {
          patienceMs = Number(seconds) * 1_000;
          return `${setting} 4s`;
        }),
      );
      assert.ok(
        patienceMs > settingsTable.pingIntervalMs.default,
        'as it is, it waits for longer than a ping',
      );
      const { ws } = await open(proxy, 'a');
      const isOver = new Promise((_, reject) => ws.once('close', reject));
      const pings = new Promise<void>((resolve) => {
        let count = 0;
        ws.on('ping', () => {
          count += 1;
          if (count === 12) resolve(); // longer than it waits
        });
      });
      await Promise.race([pings, isOver]);
      ws.terminate();
    });

    it('passes server-sent events on at once, and keeps a quiet stream', async (t) => {
      const hub = await hubFor(t, { env: { WSHUB_PING_INTERVAL_MS: '500' } });
      const proxy = await start(t, hub, name, (text) =>
        text.replace(/(proxy_read_timeout|timeout client|timeout server) \d+s/g, '$1 4s'),
      );
      let text = '';
      const request = https.get(
        {
          host: '127.0.0.1',
          port: proxy.port,
          path: '/a',
          headers: { accept: 'text/event-stream', 'accept-encoding': 'gzip' },
          rejectUnauthorized: false,
          agent: false,
        },
        (response) => {
          assert.equal(response.headers['content-encoding'], undefined);
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        },
      );
      request.on('error', (error) => (text += error.message));
      await eventually(() => (text.includes('event: connected') ? true : undefined), 'connected');
      const heartbeats = () => text.split('\n:\n').length - 1;
      await eventually(() => (heartbeats() >= 12 ? true : undefined), 'heartbeats for longer than it waits');
      await hub.admin('POST', '/channels/a/messages', { body: '{"n":1}' });
      await eventually(() => (text.includes('data: {"n":1}') ? true : undefined), `the message in ${text}`);
      request.destroy();
      await eventually(async () => {
        const { status } = await hub.admin('GET', '/channels/a');
        return status === 404 ? true : undefined;
      }, 'the end of the stream in the hub');
    });

    it('listens on IPv6 too', { skip: hasIpv6 ? false : 'there is no IPv6 here' }, async (t) => {
      const hub = await hubFor(t);
      const proxy = await start(t, hub, name);
      assert.equal(await statusOf(proxy.port, '/', '::1'), 426);
    });

    it('passes readiness on: 503 while the hub drains, which serves all the same', async (t) => {
      const hub = await hubFor(t, { env: { WSHUB_DRAIN_SPREAD_MS: '600000' } });
      const proxy = await start(t, hub, name);
      assert.equal(await statusOf(proxy.port, '/readyz'), 200);
      const clients = await Promise.all(Array.from({ length: 8 }, () => open(proxy, 'a')));
      hub.signal('SIGHUP');
      await hub.logged('new workers serve, the old ones drain');
      assert.equal(await statusOf(proxy.port, '/readyz'), 503);
      clients.push(await open(proxy, 'a'));
      for (const { ws } of clients) ws.terminate();
    });

    it('ends the WebSockets of its old processes some time after a reload of its own', async (t) => {
      const hub = await hubFor(t);
      const setting = /(worker_shutdown_timeout|hard-stop-after) 10m/;
      const proxy = await start(t, hub, name, (text) => {
        assert.match(text, setting);
        return text.replace(setting, '$1 1s');
      });
      const { ws } = await open(proxy, 'a');
      const closed = new Promise((resolve) => ws.once('close', resolve));
      process.kill(proxy.pid, name === 'nginx' ? 'SIGHUP' : 'SIGUSR2');
      await closed;
      (await open(proxy, 'a')).ws.terminate();
    });
  });
}
