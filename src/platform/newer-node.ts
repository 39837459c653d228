/** The hub is installed with the Node that it needs; on an older one the command line hands over to it. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { isatty } from 'node:tty';

/** major version of the oldest Node that runs the hub */
export const oldestNode = 24;

/** The Node in node_modules; null where npm has installed none. */
export function installedNode(): string | null {
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    return null;
  }
}

/** Runs the arguments with another Node, passes signals on, and ends this process as that one ends. */
export async function handOver(node: string, args: readonly string[]): Promise<never> {
  const child = spawn(node, args, { stdio: 'inherit' });
  // A terminal sends SIGINT and SIGHUP to both; the second one would cut a stop short.
  const passed = isatty(0) ? (['SIGTERM'] as const) : (['SIGTERM', 'SIGINT', 'SIGHUP'] as const);
  for (const signal of passed) process.on(signal, () => child.kill(signal));
  if (isatty(0)) for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (exitCode, signal) => {
      resolve(exitCode ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
  process.exit(code);
}
