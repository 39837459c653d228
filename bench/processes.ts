// The processes that the bench starts, and their directories. Each process is stopped by its pid together with its
// descendants, at the latest when the bench itself ends, however it ends.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Started and not yet stopped. */
export const owned = new Set<ChildProcess>();

/** Made and not yet removed. */
const directories = new Set<string>();

export function makeDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `bench-${name}-`));
  directories.add(directory);
  return directory;
}

export function removeDirectory(directory: string): void {
  directories.delete(directory);
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

/** The pid and those of its descendants, parents first. */
export function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(entry);
    if (parent !== null) parents.set(Number(entry), parent);
  }
  const tree = [root];
  for (const pid of tree) {
    for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  }
  return tree;
}

function parentOf(pid: string): number | null {
  try {
    // The name before it may hold anything, spaces and brackets included.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null; // ended since the directory was read
  }
}

export function killTree(child: ChildProcess): void {
  owned.delete(child);
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  for (const pid of treeOf(child.pid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Has exited on its own, like a worker whose primary was just killed.
    }
  }
}

/** Leaves nothing behind when the bench exits, is interrupted, or throws. */
export function stopAllAtExit(): void {
  process.on('exit', () => {
    for (const child of owned) killTree(child);
    for (const directory of directories) removeDirectory(directory);
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      process.exit(1);
    });
  }
}
