/** A hub whose log is not read: its probe tells when it is ready. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { reservedPort } from '../reserved-port.ts';
import { cleanEnvironment, cli, eventually, request, temporaryFolder, type Environment } from '../support.ts';

/** Runs a program with a standard output of the given kind. */
export const perl = ['perl', join(import.meta.dirname, 'sink.pl')];
export const program = [process.execPath, cli];
export const token = 'a-token-of-the-tests';
export interface LogHub {
  child: ChildProcess;
  port: number;
  opsPort: number;
  /** Its exit code. */
  ended: Promise<number | null>;
}

/** Starts a hub with one worker, by a command, and waits until it serves. */
export async function start(
  t: TestContext,
  command: readonly string[],
  stdout: 'ignore' | 'pipe' | number,
  env: Environment = {},
): Promise<LogHub> {
  const [file = '', ...args] = command;
  const [port, opsPort] = [reservedPort(), reservedPort()];
  const environment = {
    WSHUB_HOST: '127.0.0.1',
    WSHUB_PORT: String(port),
    WSHUB_OPS_PORT: String(opsPort),
    WSHUB_WORKERS: '1',
    WSHUB_ADMIN_TOKEN: token,
    WSHUB_STOP_SPREAD_MS: '0',
    TMPDIR: temporaryFolder(t),
    ...env,
  };
  const child = spawn(file, args, { env: cleanEnvironment(environment), stdio: ['pipe', stdout, 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  await eventually(async () => {
    const answer = await request(opsPort, 'GET', '/readyz').catch(() => undefined);
    return answer?.status === 200 ? true : undefined;
  }, 'a hub that is ready');
  return { child, port, opsPort, ended };
}
