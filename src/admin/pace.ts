/** Backpressure for the actions that publish. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hub } from '../hub.ts';
import type { WorkerParts } from './action.ts';

/** Bytes queued for the other workers above which a batch waits: far less than a link may hold before it drops. */
const maxQueuedBytes = 8 * 1024 * 1024;
const pollMs = 2;

type Publishing = Pick<WorkerParts, 'hub' | 'mesh'>;

/** Whether neither the channel nor the links are congested. */
export function isFlowing({ hub, mesh }: Publishing, channel: string): boolean {
  return !hub.isCongested(channel) && mesh.queuedBytes <= maxQueuedBytes;
}

/** Resolves when the channel is not congested, or after `maxMs`. */
export async function channelFlows(hub: Hub, channel: string, maxMs: number): Promise<void> {
  if (!hub.isCongested(channel)) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, maxMs);
    hub.whenFlowing(channel, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Resolves when channel and links are not congested, or at `until`, in ms of the monotonic clock. */
export async function allFlows({ hub, mesh }: Publishing, channel: string, until: number): Promise<void> {
  await channelFlows(hub, channel, Math.max(0, until - performance.now()));
  while (mesh.queuedBytes > maxQueuedBytes && performance.now() < until) await sleep(pollMs);
}
