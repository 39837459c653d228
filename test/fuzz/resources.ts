/**
 * What a hub holds, before something bad is done to it and after: a leak of a kilobyte per case would show. It has to be
 * started with `watched` among its environment, whose functions look into the workers.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectWhere, eventually, residentBytes, type HubProcess } from '../support.ts';

/** The environment of a hub that can be looked into. */
export const watched = { WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts') };

/** Of one process, or the most of all workers. */
interface Resources {
  /** heap and buffers after a garbage collection; 0: unavailable */
  memoryBytes: number;
  /** resident memory, including native memory and free memory that the allocator keeps */
  residentBytes: number;
  descriptors: number;
}

/** A successor is compared with the worker that held most: it has to be no worse than any was. */
export interface Holdings {
  primary: Resources;
  workers: Resources;
}

/**
 * What may be more afterwards without being a leak: compiled code, caches, a pool's buffers. Of the resident memory the
 * allocator keeps what was needed at once in some earlier round: over five rounds of one attack it went up and down
 * between 180 and 270 MB, and then stood still. A leak is seen in `memoryBytes`.
 */
const slack: Resources = {
  memoryBytes: 5 * 1024 * 1024,
  residentBytes: 128 * 1024 * 1024,
  descriptors: 3,
};

/** What the processes of the hub hold, once all its workers serve. */
export function holdings(hub: HubProcess): Promise<Holdings> {
  return eventually(async () => {
    const { workers } = hub;
    const serving = (await hub.admin('GET', '/state').catch(() => undefined))?.status === 200;
    if (!serving) return undefined;
    const all = await Promise.all(workers.map(({ workerId, pid }) => ofWorker(hub, workerId, pid))).catch(
      () => undefined, // a worker has died, or refuses connections for now
    );
    return all && { primary: ofProcess(hub.pid), workers: all.reduce(most) };
  }, 'the resources of all workers');
}

/**
 * Asserts that the hub returns to its former resources; sockets may take a while to close.
 * @param attempts with a tenth of a second and a garbage collection between two of them
 */
export async function assertNoGrowth(hub: HubProcess, before: Holdings, attempts = 300): Promise<void> {
  let now = await holdings(hub);
  const isBack = () => isWithin(now.primary, before.primary) && isWithin(now.workers, before.workers);
  for (let attempt = 1; attempt < attempts && !isBack(); attempt += 1) {
    await sleep(100);
    now = await holdings(hub);
  }
  assert.ok(isBack(), `the hub held ${JSON.stringify(before)} and now ${JSON.stringify(now)}`);
}

/**
 * Makes an attack twice. The first time shows what it takes: what is compiled and cached, and what the allocator keeps of
 * the most that was needed at once. The second time must not take more.
 */
export async function leavesNothing(hub: HubProcess, attack: () => Promise<unknown>): Promise<void> {
  await attack();
  const held = await holdings(hub);
  await attack();
  await assertNoGrowth(hub, held);
}

function isWithin(now: Resources, before: Resources): boolean {
  return (Object.keys(slack) as (keyof Resources)[]).every((key) => now[key] <= before[key] + slack[key]);
}

async function ofWorker(hub: HubProcess, workerId: string, pid: number): Promise<Resources> {
  const isGone = () => hub.workers.every((worker) => worker.workerId !== workerId);
  const client = await connectWhere(hub, `resources-${workerId}`, (id) => id === workerId || isGone());
  try {
    if (client.workerId !== workerId) throw new Error(`worker ${workerId} has been replaced`);
    client.send({ type: 'resources' });
    const memoryBytes = (await client.next()) as number;
    const held = { ...ofProcess(pid), memoryBytes };
    await client.close(); // it has left its channel, so that a test may count channels
    return held;
  } finally {
    client.ws.terminate();
  }
}

function ofProcess(pid: number): Resources {
  const linux = process.platform === 'linux';
  return {
    memoryBytes: 0,
    residentBytes: linux ? residentBytes(pid) : 0,
    descriptors: linux ? readdirSync(`/proc/${pid}/fd`).length : 0,
  };
}

function most(one: Resources, other: Resources): Resources {
  return {
    memoryBytes: Math.max(one.memoryBytes, other.memoryBytes),
    residentBytes: Math.max(one.residentBytes, other.residentBytes),
    descriptors: Math.max(one.descriptors, other.descriptors),
  };
}
