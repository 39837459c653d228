/** npm installs the Node that the hub needs; on an older Node the command line runs again with that one. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { isatty } from 'node:tty';

/** major version of the oldest Node that runs the hub */
export const oldestNode = 24;

/** Returns the path of the Node in node_modules; null: npm has installed none. */
export function installedNode(): string | null {
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    return null;
  }
}

/** Runs the arguments with another Node, forwards signals, and exits with its exit code. */
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
