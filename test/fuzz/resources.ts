/** Compares what a worker holds before and after: a leak of a kilobyte per case would show. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../support.ts';

export interface Resources {
  heapBytes: number;
  descriptors: number;
}

/** What may be more afterwards without being a leak: compiled code, caches, a pool's buffers. */
const slackBytes = 5 * 1024 * 1024;
const slackDescriptors = 3;

/** What the worker of this client holds, after a garbage collection. */
export async function resourcesOf(client: Client): Promise<Resources> {
  client.send({ type: 'resources' });
  return (await client.next()) as Resources;
}

/** Asserts that a worker comes back to what it held before; sockets may take a while to go. */
export async function assertNoGrowth(client: Client, before: Resources): Promise<void> {
  let now = await resourcesOf(client);
  const grown = () =>
    now.heapBytes > before.heapBytes + slackBytes || now.descriptors > before.descriptors + slackDescriptors;
  for (let attempt = 0; attempt < 100 && grown(); attempt += 1) {
    await sleep(100);
    now = await resourcesOf(client);
  }
  assert.ok(!grown(), `${client.workerId} held ${JSON.stringify(before)} and now ${JSON.stringify(now)}`);
}
