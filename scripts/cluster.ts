/**
 * `npm run cluster`: two hubs of one worker each, a Redis server between them and HAProxy in front, all on loopback. Needs Debian's
 * redis-server and haproxy. Ends with Ctrl-C. CLUSTER_PORT sets the proxy's port (8080), BASE_PORT the first of the others (18080).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'wshub-cluster-'));
const port = Number(process.env['CLUSTER_PORT'] ?? 8080);
const base = Number(process.env['BASE_PORT'] ?? 18_080);
const redisPort = base;
const machines = ['a', 'b'].map((name, index) => ({
  name,
  port: base + 1 + 2 * index,
  opsPort: base + 2 + 2 * index,
}));

const children: ChildProcess[] = [];

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  child.on('error', (error) => {
    stop(`${command}: ${error.message}; install Debian's redis-server and haproxy`);
  });
  child.on('exit', (code) => {
    stop(`${command} has ended with ${code ?? 'a signal'}`);
  });
  children.push(child);
}

let isStopping = false;

/** Ends everything. @param fault absent: the user wants it */
function stop(fault?: string): void {
  if (isStopping) return;
  isStopping = true;
  if (fault !== undefined) console.error(fault);
  for (const child of children) child.kill('SIGTERM');
  const ends = children.map(({ exitCode, signalCode }, index) =>
    exitCode === null && signalCode === null
      ? new Promise((resolve) => children[index]?.once('exit', resolve))
      : Promise.resolve(),
  );
  void Promise.race([Promise.all(ends), sleep(20_000)]).then(() => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(fault === undefined ? 0 : 1);
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stop();
  });
}

const redis = ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
run('redis-server', [...redis, '--maxmemory-policy', 'noeviction']);
for (const { name, port: own, opsPort } of machines) {
  run(process.execPath, [join(root, 'src/cli.ts')], {
    WSHUB_HOST: '127.0.0.1',
    WSHUB_PORT: String(own),
    WSHUB_OPS_PORT: String(opsPort),
    WSHUB_WORKERS: '1',
    WSHUB_ENGINE: 'redis',
    WSHUB_REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    WSHUB_MACHINE_ID: name,
    WSHUB_NAMESPACES:
      process.env['WSHUB_NAMESPACES'] ?? '[{"name":"log","historySize":100,"historyTtl":"1h"}]',
    WSHUB_TRUST_PROXY: 'loopback',
    WSHUB_ADMIN_TOKEN: process.env['WSHUB_ADMIN_TOKEN'] ?? 'cluster',
  });
}
const servers = machines.map(
  ({ name, port: own, opsPort }) => `  server ${name} 127.0.0.1:${own} check port ${opsPort} inter 500ms`,
);
const config = readFileSync(join(root, 'deploy/haproxy.cluster.cfg'), 'utf8')
  .replace(/^resolvers[^]*?\n\n/m, '')
  .replace(/^ {2}server-template .*$/m, servers.join('\n'))
  .replace('bind :8080', `bind 127.0.0.1:${port}`)
  .replace('maxconn 100000', 'maxconn 1000');
const file = join(folder, 'haproxy.cfg');
writeFileSync(file, config);
run('haproxy', ['-f', file, '-db']);

/** Resolves when a machine takes clients. */
async function isReady(opsPort: number): Promise<void> {
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${opsPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    await sleep(100);
  }
}

await Promise.all(machines.map(({ opsPort }) => isReady(opsPort)));
console.log(
  `ready: ws://127.0.0.1:${port}/<channel>, ops ports ${machines.map(({ opsPort }) => opsPort).join(', ')}`,
);
