/**
 * Ports that a test may give up and take again: below those that the kernel hands out, and shared with no other test
 * process. Two hubs of one user can bind the same port (SO_REUSEPORT), so a collision would mix two tests.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const firstPort = 20_000;
const lastPort = 32_000;
const blockSize = 40;
/** One file per block in use, with the pid of its owner. */
const folder = join(tmpdir(), 'wshub-test-ports');

let next = 0;
let end = 0;

export function reservedPort(): number {
  if (next === end) {
    next = claimBlock();
    end = next + blockSize;
  }
  return next++;
}

/** @returns the first port of a block that belongs to this process until it ends */
function claimBlock(): number {
  mkdirSync(folder, { recursive: true });
  for (let port = firstPort; port < lastPort; port += blockSize) {
    const file = join(folder, String(port));
    removeIfStale(file);
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    process.once('exit', () => {
      rmSync(file, { force: true });
    });
    return port;
  }
  throw new Error(`all ports of the tests are in use: see ${folder}`);
}

/** Removes the claim of a process that was killed; renamed first, so that only one of several processes does. */
function removeIfStale(file: string): void {
  try {
    const owner = readFileSync(file, 'utf8');
    if (owner === '' || isRunning(Number(owner))) return; // empty: being claimed
    renameSync(file, `${file}.${process.pid}`);
    rmSync(`${file}.${process.pid}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
