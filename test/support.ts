/**
 * What the tests over real processes share: a hub as its own process with port 0 and its own runtime directory,
 * clients that record what they are sent, HTTP requests, bare sockets. Every wait is for an event and has a
 * bound; a hub is ended by `end`, which also proves that none of its processes is left.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, type ClientOptions } from 'ws';

/** The reason to skip a test about a fast path where the run turns them off; false: they are on. */
export const fastPathsOff = process.env['NODE_TEST_WSHUB_FAST_PATHS'] === 'off' && 'the fast paths are off';

export const cli = join(import.meta.dirname, '../src/cli.ts');

/** Time limit of every wait, far above any duration on a machine under load. */
const patienceMs = 60_000;

/** Lets callers wait for a condition, which is checked again after each event. */
class Happenings {
  readonly #looks = new Set<() => void>();

  happened(): void {
    for (const look of [...this.#looks]) look();
  }

  /** @param what names the awaited thing, for the error of a timeout */
  until<T>(find: () => T | undefined, what: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = () => {
        try {
          const found = find();
          if (found === undefined) return;
          resolve(found);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
        stop();
      };
      const stop = () => {
        clearTimeout(timer);
        this.#looks.delete(look);
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`waited in vain for ${what()}`));
      }, patienceMs);
      this.#looks.add(look);
      look();
    });
  }
}

/** Polls a condition that raises no event: another process's table, a file. */
export async function eventually<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  what: string,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(20);
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of the tests, without variables that affect a hub. */
export function cleanEnvironment(additions: Environment): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(WSHUB_|RUNTIME_DIRECTORY$|CREDENTIALS_DIRECTORY$|NODE_TEST_CONTEXT$|_$)/.test(name),
  );
  return { ...Object.fromEntries(own), ...additions };
}

/** A folder of its own, removed when the test is over. */
export function temporaryFolder(t: { after: (done: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'wshub-test-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `wshub` until it exits on its own. */
export async function runCli(
  args: readonly string[],
  environment: Environment = {},
  cwd = process.cwd(),
): Promise<CliResult> {
  const child = spawn(process.execPath, [cli, ...args], { env: cleanEnvironment(environment), cwd });
  const result: CliResult = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), 2 * patienceMs); // it may start ten workers
  result.code = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  return result;
}

export interface LogLine {
  level: string;
  pid: number;
  worker: string;
  msg: string;
  [member: string]: unknown;
}

export interface HubOptions {
  workers?: number;
  /** more of the environment; undefined takes a variable out */
  env?: Environment;
  args?: readonly string[];
}

/** Hubs that may still run, to be killed if the test process ends before it could end them. */
const running = new Set<HubProcess>();
process.on('exit', () => {
  for (const hub of running) hub.killAll();
});

/** Starts a hub; resolves when it is ready. */
export async function startHub({ workers = 2, env = {}, args = [] }: HubOptions = {}): Promise<HubProcess> {
  const hub = new HubProcess(workers, env, args);
  try {
    const { port, opsPort } = (await hub.logged('hub ready')) as LogLine & { port: number; opsPort: number };
    hub.port = port;
    hub.opsPort = opsPort;
  } catch (error) {
    hub.killAll();
    throw error;
  }
  return hub;
}

/** A hub for one test, ended with it. */
export async function hubFor(t: { after: (done: () => Promise<void>) => void }, options: HubOptions = {}) {
  const hub = await startHub(options);
  t.after(() => hub.end());
  return hub;
}

export class HubProcess {
  readonly token = 'a-token-of-the-tests';
  readonly runtimeDir = mkdtempSync(join(tmpdir(), 'wshub-test-'));
  /** its log lines, oldest first */
  readonly log: LogLine[] = [];
  stderr = '';
  port = 0;
  opsPort = 0;
  /** its exit code, or the signal that ended it; null while it runs */
  exit: number | NodeJS.Signals | null = null;
  readonly #child: ChildProcess;
  readonly #happenings = new Happenings();

  constructor(workers: number, env: Environment, args: readonly string[]) {
    const environment = {
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
      WSHUB_WORKERS: String(workers),
      WSHUB_RUNTIME_DIR: this.runtimeDir,
      WSHUB_ADMIN_TOKEN: this.token,
      WSHUB_LOG_LEVEL: 'debug',
      // Many tests consist of load and garbage; those about these limits set them.
      WSHUB_MESSAGE_RATE: '0',
      WSHUB_BYTE_RATE: '0',
      WSHUB_CONNECT_RATE: '0',
      WSHUB_CONNECT_RATE_PER_ADDRESS: '0',
      WSHUB_ADMIN_FAILURE_LIMIT: '0',
      ...env,
    };
    const child = spawn(process.execPath, [cli, ...args], { env: cleanEnvironment(environment) });
    this.#child = child;
    running.add(this);
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    createInterface(child.stdout).on('line', (line) => {
      this.log.push(JSON.parse(line) as LogLine);
      this.#happenings.happened();
    });
    child.on('exit', (code, signal) => {
      this.exit = code ?? signal;
      this.#happenings.happened();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The worker that now serves in each slot. */
  get workers(): { workerId: string; pid: number }[] {
    const bySlot = new Map<unknown, { workerId: string; pid: number }>();
    for (const { msg, slot, workerId, workerPid } of this.log) {
      if (msg === 'worker ready') bySlot.set(slot, { workerId: String(workerId), pid: Number(workerPid) });
    }
    return [...bySlot.values()];
  }

  pidOf(workerId: string): number {
    const worker = this.workers.find((candidate) => candidate.workerId === workerId);
    assert.ok(worker, `worker ${workerId} is not there`);
    return worker.pid;
  }

  /** The first line with this message and these members, as soon as it is there. */
  logged(msg: string, members: Readonly<Record<string, unknown>> = {}): Promise<LogLine> {
    const fits = (line: LogLine) =>
      line.msg === msg && Object.entries(members).every(([name, value]) => line[name] === value);
    return this.#happenings.until(
      () => {
        const line = this.log.find(fits);
        if (!line && this.exit !== null) throw new Error(`the hub has ended: ${this.exit} ${this.stderr}`);
        return line;
      },
      () =>
        `"${msg}" ${JSON.stringify(members)} in the log, which ends with ${this.#lastLines()}${this.stderr}`,
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves with its exit code, or the signal that ended it, once no process of it is left. */
  async ended(): Promise<number | NodeJS.Signals> {
    const exit = await this.#happenings.until(
      () => this.exit ?? undefined,
      () => `the end of the hub, whose log ends with ${this.#lastLines()}`,
    );
    const pids = this.#workerPids();
    await eventually(() => (pids.some(isAlive) ? undefined : true), `the end of all workers of ${this.pid}`);
    running.delete(this);
    return exit;
  }

  /** Stops it, if it still runs, and asserts that it exited cleanly and left no process behind. */
  async end(): Promise<void> {
    try {
      const stopped = this.exit === null;
      if (stopped) this.signal('SIGTERM');
      const exit = await this.ended();
      if (stopped) assert.equal(exit, 0, `exit code of a hub that was stopped; stderr: ${this.stderr}`);
    } finally {
      this.killAll();
      rmSync(this.runtimeDir, { recursive: true, force: true });
    }
  }

  /** Kills all its processes. */
  killAll(): void {
    running.delete(this);
    for (const pid of [this.pid, ...this.#workerPids()]) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }

  /** An admin request with the token, by default to the ops port. */
  admin(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    return request(this.opsPort, method, path, {
      ...options,
      headers: { authorization: `Bearer ${this.token}`, ...options.headers },
    });
  }

  /** A kept-alive HTTP connection to the public port, and the worker at its other end. */
  async publicConnection(wanted: (workerId: string) => boolean): Promise<http.Agent> {
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      const channel = `whoami-${Math.random()}`;
      const answer = await this.admin('GET', `/channels/${channel}`, { port: this.port, agent });
      assert.equal(answer.status, 404);
      const isMine = (line: LogLine) =>
        line.msg === 'admin action' && (line['target'] as { channel?: string }).channel === channel;
      const line = await this.#happenings.until(
        () => this.log.find(isMine),
        () => 'the line of an admin action',
      );
      if (wanted(line.worker)) return agent;
      agent.destroy();
    }
    throw new Error('no HTTP connection came to the wanted worker');
  }

  #workerPids(): number[] {
    return this.log.flatMap(({ workerPid }) => (typeof workerPid === 'number' ? [workerPid] : []));
  }

  #lastLines(): string {
    return JSON.stringify(this.log.slice(-5));
  }
}

/** Whether the process exists and is not a zombie. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).path !== undefined && process.platform !== 'linux';
  }
}

export interface RequestOptions {
  port?: number;
  headers?: http.OutgoingHttpHeaders;
  body?: string | Buffer;
  agent?: http.Agent;
}

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** parsed JSON */
  body: unknown;
}

/** One HTTP request; the answer must be JSON. */
export function request(
  defaultPort: number,
  method: string,
  path: string,
  { port = defaultPort, headers = {}, body, agent }: RequestOptions = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, headers, agent: agent ?? false };
    const outgoing = http.request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        try {
          const { statusCode = 0, headers: received } = response;
          resolve({ status: statusCode, headers: received, body: text === '' ? '' : JSON.parse(text) });
        } catch (cause) {
          reject(new Error(`${method} ${path} was not answered with JSON: ${text}`, { cause }));
        }
      });
      response.on('error', reject);
    });
    outgoing.on('upgrade', ({ statusCode = 0, headers: received }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, headers: received, body: '' });
    });
    outgoing.setTimeout(patienceMs, () => outgoing.destroy(new Error(`${method} ${path} was not answered`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** The code in an answer that is a refusal. */
export function codeOf({ body }: Answer): string | undefined {
  return typeof body === 'object' ? (body as { error?: { code?: string } }).error?.code : undefined;
}

/** The headers of a WebSocket handshake. */
export const handshake = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** A client that has read `connected`. */
export class Client {
  readonly ws: WebSocket;
  /** the TCP connection under it, to send what ws would not */
  socket: Socket | undefined;
  connectionId = '';
  workerId = '';
  channel = '';
  /** messages after `connected`, as text */
  readonly received: string[] = [];
  /** code and reason of the close frame that ended it */
  closed: { code: number; reason: string } | undefined;
  readonly #happenings = new Happenings();
  #taken = 0;

  constructor(url: string, options: ClientOptions) {
    this.ws = new WebSocket(url, options);
    this.ws.on('upgrade', ({ socket }) => (this.socket = socket));
    this.ws.on('message', (data, isBinary) => {
      this.received.push(isBinary ? '"a binary message"' : (data as Buffer).toString());
      this.#happenings.happened();
    });
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#happenings.happened();
    });
    this.ws.on('error', (error) => this.received.push(JSON.stringify(`error: ${error.message}`)));
  }

  /** Reads `connected`, which must come first. */
  async opened(): Promise<void> {
    await this.take(1);
    this.#taken = 0;
    const first = JSON.parse(this.received.shift() ?? '') as Record<string, string>;
    assert.equal(first['status'], 'connected', `the first message is ${JSON.stringify(first)}`);
    this.connectionId = first['connectionId'] ?? '';
    this.workerId = first['workerId'] ?? '';
    this.channel = first['channel'] ?? '';
  }

  send(value: unknown): void {
    this.ws.send(JSON.stringify(value));
  }

  /** The next message. */
  async next(): Promise<unknown> {
    const [message] = await this.take(1);
    return message;
  }

  /** The next messages. */
  async take(count: number): Promise<unknown[]> {
    return (await this.takeText(count)).map((text) => JSON.parse(text) as unknown);
  }

  /** The next messages, as text. */
  async takeText(count: number): Promise<string[]> {
    const from = this.#taken;
    this.#taken += count;
    await this.#happenings.until(
      () => (this.received.length >= this.#taken ? true : undefined),
      () =>
        `message ${this.#taken} of ${this.connectionId} on ${this.channel}, which got ${this.received.length} ` +
        `and ends with ${this.received.slice(-2).join(' ')}, closed: ${JSON.stringify(this.closed)}`,
    );
    return this.received.slice(from, this.#taken);
  }

  /** Messages that were received and not taken yet. */
  rest(): unknown[] {
    return this.received.slice(this.#taken).map((text) => JSON.parse(text) as unknown);
  }

  /** How it was closed, once it is. */
  end(): Promise<{ code: number; reason: string }> {
    return this.#happenings.until(
      () => this.closed,
      () => `the close of ${this.connectionId} on ${this.channel}`,
    );
  }

  /** Closes it and waits until that is done. */
  async close(): Promise<void> {
    this.ws.close();
    await this.end();
  }
}

/** Opens a connection; resolves when `connected` has been read. */
export async function connect(
  hub: { port: number },
  path: string,
  options: ClientOptions = {},
): Promise<Client> {
  const client = new Client(`ws://127.0.0.1:${hub.port}/${path}`, options);
  await client.opened();
  return client;
}

/** Opens connections until one is on a wanted worker; the others are closed. */
export async function connectWhere(
  hub: { port: number },
  path: string,
  wanted: (workerId: string) => boolean,
): Promise<Client> {
  for (let attempt = 0; attempt < 250; attempt += 1) {
    const client = await connect(hub, path);
    if (wanted(client.workerId)) return client;
    await client.close();
    if (attempt > 50) await sleep(20); // a worker with more clients than the others takes none for a moment
  }
  throw new Error('no connection came to the wanted worker');
}

/** Two clients of a channel on two workers. */
export async function connectApart(hub: { port: number }, path: string): Promise<[Client, Client]> {
  const one = await connect(hub, path);
  return [one, await connectWhere(hub, path, (workerId) => workerId !== one.workerId)];
}

/** An open TCP connection or Unix socket, and all its input until the end. */
export async function openSocket(to: number | string): Promise<{ socket: Socket; answer: Promise<string> }> {
  const socket = typeof to === 'number' ? createConnection(to, '127.0.0.1') : createConnection(to);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined); // a reset is one of the ways in which the hub may end it
  const answer = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new Error(`the hub left a socket open after ${JSON.stringify(Buffer.concat(chunks).toString())}`),
      );
    }, patienceMs);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks).toString('latin1'));
    });
  });
  answer.catch(() => undefined); // if no caller awaits it
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
  return { socket, answer };
}

/** Opens a WebSocket that then answers nothing, not even a close frame. */
export async function openMute(port: number, path: string): Promise<void> {
  const { socket } = await openSocket(port);
  const lines = Object.entries({ host: 'test', ...handshake }).map(([name, value]) => `${name}: ${value}`);
  socket.write([`GET /${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1').includes('"connected"')) resolve();
    });
  });
}

/** Resident memory of a process, in bytes (proc_pid_status(5)). */
export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}
