// What the kernel says about a tree of processes: CPU time and user memory.
import { readdirSync, readFileSync } from 'node:fs';
import { treeOf } from './processes.ts';

/** CPU that all threads of the tree have used, user and kernel, in microseconds. */
export function cpuUs(root: number): number {
  const threads = treeOf(root).flatMap((pid) =>
    list(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}`),
  );
  return sum(threads.map((thread) => Number(read(`${thread}/schedstat`).split(' ')[0]) / 1e3));
}

/** Proportional set size of the tree in bytes: memory shared by its processes, like Nchan's, counts once. */
export function pssBytes(root: number): number {
  return sum(
    treeOf(root).map((pid) => {
      const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`)) ?? [];
      return Number(kilobytes ?? 0) * 1024;
    }),
  );
}

/** Empty for a process or thread that has ended in the meantime. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
