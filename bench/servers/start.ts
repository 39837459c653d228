// Starts a server as processes of its own, waits until it takes clients, and stops it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { killTree, makeDirectory, owned, removeDirectory } from '../processes.ts';
import type { Launch, Server, Settings, StartOptions } from './server.ts';

const startTimeoutMs = 15_000;
const pollMs = 50;

export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

export async function startServer(
  server: Server,
  workers: number,
  tree: string,
  { env = {}, keepsHistory = false }: StartOptions = {},
): Promise<RunningServer> {
  const directory = makeDirectory(server.name);
  const settings: Settings = {
    port: await freePort(),
    opsPort: await freePort(),
    workers,
    directory,
    tree,
    keepsHistory,
  };
  const launch = server.launch(settings);
  const child = spawn(launch.command, launch.args, {
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', ...launch.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  owned.add(child);
  const stop = async (): Promise<void> => {
    const ended = hasEnded(child) ? null : once(child, 'exit');
    killTree(child);
    await ended;
    removeDirectory(directory);
  };
  try {
    await untilReady(child, launch);
  } catch (error) {
    await stop();
    throw error;
  }
  if (child.pid === undefined) throw new Error('a process that is ready has a pid');
  return { pid: child.pid, port: settings.port, stop };
}

async function untilReady(child: ChildProcess, launch: Launch): Promise<void> {
  let output = '';
  const keepTail = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4096);
  };
  child.stdout?.on('data', keepTail);
  child.stderr?.on('data', keepTail);
  child.on('error', (error) => {
    output += error.message;
  });
  const deadline = Date.now() + startTimeoutMs;
  while (!(await launch.ready(output))) {
    if (hasEnded(child)) throw new Error(`did not start: ${lastLine(output)}`);
    if (Date.now() > deadline) throw new Error(`did not start within ${startTimeoutMs / 1e3} s`);
    await sleep(pollMs);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

function lastLine(output: string): string {
  const line = output.trim().split('\n').at(-1)?.trim();
  return line === undefined || line === '' ? 'it said nothing' : line;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
