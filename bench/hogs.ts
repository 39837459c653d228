// Channels with more than a worker can write, beside whatever is measured.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { killTree, owned } from './processes.ts';

export interface Hogs {
  readonly senders: number;
  readonly readersEach: number;
}

const program = join(import.meta.dirname, 'generator/hogs.ts');

/** Starts them in a process of their own; resolves with what ends them once all of them are at work. */
export async function startHogs(port: number, { senders, readersEach }: Hogs): Promise<() => Promise<void>> {
  const child = fork(program, [port, senders, readersEach].map(String), { execArgv: [] });
  owned.add(child);
  const ended = once(child, 'exit');
  const first: unknown = await Promise.race([once(child, 'message'), ended.then(() => null)]);
  if (first === null) throw new Error('the process of the busy channels ended');
  return async () => {
    killTree(child);
    await ended;
  };
}
