/** A redis-server process for tests, on a port of its own, that can be killed, stopped, restarted and failed over. */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { reservedPort } from './reserved-port.ts';
import { eventually, temporaryFolder } from './support.ts';

const run = promisify(execFile);

/** Why tests with a server skip themselves; false: they run. `.ci/run` demands that they do. */
export const noRedis =
  spawnSync('redis-server', ['--version']).error !== undefined &&
  process.env['NODE_TEST_WSHUB_REDIS'] !== 'required' &&
  'redis-server is not installed';

export interface RedisServerOptions {
  /** more options of redis-server: `['--appendonly', 'yes']` */
  args?: readonly string[];
  /** copies the data of this one */
  replicaOf?: RedisServer;
}

type TestScope = Parameters<typeof temporaryFolder>[0];

export class RedisServer {
  readonly port = reservedPort();
  readonly #folder: string;
  readonly #options: RedisServerOptions;
  #process: ChildProcess | null = null;

  /** Starts a server that ends with the test. */
  static async start(t: TestScope, options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(temporaryFolder(t), options);
    t.after(() => {
      void server.kill();
    });
    await server.start();
    return server;
  }

  private constructor(folder: string, options: RedisServerOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, or starts it again on its port with the files that it has written. */
  async start(): Promise<void> {
    const { args = [], replicaOf } = this.#options;
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--dir', this.#folder];
    const replica = replicaOf ? ['--replicaof', '127.0.0.1', String(replicaOf.port)] : [];
    this.#process = spawn(
      'redis-server',
      [...fixed, '--repl-diskless-sync-delay', '0', ...replica, ...args],
      { stdio: 'ignore' },
    );
    await eventually(
      async () => ((await this.cli('ping').catch(() => '')) === 'PONG' ? true : undefined),
      `redis-server on port ${this.port}`,
    );
  }

  /** Runs a command; the answer as redis-cli prints it. */
  async cli(...command: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...command]);
    return stdout.trim();
  }

  /** Makes everything that it holds older: the messages, and the lifetimes of all keys. */
  async age(ms: number): Promise<void> {
    await this.cli('eval', ageScript, '0', String(ms));
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it as `kill -9` does. */
  async kill(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const ended = this.#process;
    this.#process = null;
    if (!ended || ended.exitCode !== null || ended.signalCode !== null) return;
    ended.once('exit', resolve);
    ended.kill('SIGKILL');
    await promise;
  }

  /** Waits until a replica has received everything. */
  async synced(replica: RedisServer): Promise<void> {
    const field = async (server: RedisServer, name: string) =>
      new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(await server.cli('info', 'replication'))?.[1];
    await eventually(async () => {
      const isUp = (await field(replica, 'master_link_status')) === 'up';
      const [own, its] = [await field(this, 'master_repl_offset'), await field(replica, 'slave_repl_offset')];
      return isUp && own === its ? true : undefined;
    }, 'a replica that has everything');
  }
}

const ageScript = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
  if redis.call('TYPE', key).ok == 'list' then
    for i, message in ipairs(redis.call('LRANGE', key, 0, -1)) do
      local offset, time = struct.unpack('>dd', message)
      redis.call('LSET', key, i - 1, struct.pack('>dd', offset, time - ARGV[1]) .. string.sub(message, 17))
    end
  end
end`;

/** An address whose server can be exchanged, like that of a failover. */
export async function movingAddress(t: TestScope, first: RedisServer) {
  let target = first;
  const sockets = new Set<Socket>();
  const server = createServer((incoming) => {
    const outgoing = connect(target.port, '127.0.0.1');
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const moveTo = (next: RedisServer) => {
    target = next;
    for (const socket of sockets) socket.destroy();
  };
  return { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`, moveTo };
}
