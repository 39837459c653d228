/** The booted container that boot.ts has made, for the tests that run in its network. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { request } from '../support.ts';

const leader = process.env['WSHUB_TEST_LEADER'] ?? '';
delete process.env['WSHUB_TEST_LEADER'];
const patienceMs = 180_000;

export const hub = { port: 8080 };
export const opsPort = 9180;

const run = promisify(execFile);

/** Runs a program in the container, and returns its output. */
export async function inside(...command: string[]): Promise<string> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  const { stdout, stderr } = await run('nsenter', ['-a', '-t', leader, ...command], {
    env,
    timeout: patienceMs,
    maxBuffer: 64 * 2 ** 20,
  });
  return (stdout + stderr).trim();
}

/** Runs a command of the shell in the container, in root's home, where the packages are. */
export function shell(command: string): Promise<string> {
  return inside('bash', '-c', `cd /root && ${command}`);
}

export function property(name: string, unit = 'wshub.service'): Promise<string> {
  return inside('systemctl', 'show', '-P', name, unit);
}

export async function until(what: string, reached: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await reached())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(100);
  }
}

/** Returns the status of a probe; 0: no answer. */
export async function probe(path: string, port = opsPort): Promise<number> {
  return request(port, 'GET', path).then(
    ({ status }) => status,
    () => 0,
  );
}

export async function untilReady(): Promise<void> {
  await until('the hub is ready', async () => (await probe('/readyz')) === 200);
}

/** The workers of a primary; it also has a shell for its orphans, and now and then a notifier. */
export async function workersOf(primary: string): Promise<string[]> {
  const children = (await inside('cat', `/proc/${primary}/task/${primary}/children`)).split(' ');
  const programs = await Promise.all(
    children.map((pid) => inside('readlink', `/proc/${pid}/exe`).catch(() => '')), // it has ended
  );
  return children.filter((_, index) => programs[index]?.endsWith('/node'));
}
