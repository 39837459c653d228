/** Shows the whole hub: workers, totals, version, uptime and the first channels. */
import { z } from 'zod';
import type { Hub } from '../../hub.ts';
import { inSlices } from '../../platform/slices.ts';
import type { Mesh } from '../../relay/mesh/mesh.ts';
import { defineAction, onMachine, type AskedWorker } from '../action.ts';
import { channelPart, channelsHere, mergeChannels } from '../channel-page.ts';

/** The state of one worker. */
const workerReport = z.object({
  connections: z.int(),
  /** different users of its connections; those without a user count as one */
  users: z.int(),
  /** of its connections to channels */
  subscriptions: z.int(),
  /** number of channels with connections of this worker */
  channels: z.int(),
  /** channels of the whole hub, as known to this worker */
  knownChannels: z.int(),
  /** timer delay, 99th percentile of the last 10 s */
  eventLoopLagMs: z.number(),
  /** event loop utilization of the last 10 s, 0 to 1 */
  eventLoopUtilization: z.number(),
  residentBytes: z.number(),
  heapUsedBytes: z.number(),
  /** bytes queued for its siblings, together and for each */
  linkQueueBytes: z.number(),
  linkQueues: z.array(z.object({ workerId: z.string(), bytes: z.number() })),
  /** every sibling is linked */
  linked: z.boolean(),
});

export const state = defineAction({
  name: 'state',
  routes: [{ method: 'GET', path: '/state' }],
  scope: 'read',
  audit: 'debug',
  /** at most `limit` channels are listed */
  input: z.object({ limit: z.int().min(1) }),
  read: (request) => ({ limit: request.page().limit }),
  part: z.object({ report: workerReport, list: channelPart }),
  run: async ({ hub, clients, mesh, probe }, { limit }) => ({
    report: {
      connections: clients.size,
      users: clients.userCount,
      channels: hub.channelCount,
      ...(await totalsOf(hub, mesh)),
      eventLoopLagMs: round(probe.lagP99 * 1000),
      eventLoopUtilization: round(probe.utilization),
      residentBytes: probe.residentBytes,
      heapUsedBytes: probe.heapUsedBytes,
      linkQueueBytes: mesh.queuedBytes,
      linkQueues: mesh.queues(),
      linked: mesh.linked,
    },
    list: await channelsHere(hub, () => true, { after: '', limit }),
  }),
  mayBePartial: true,
  merge: (parts, { limit }, { version, startedAt, isPartial }) => {
    const workers = parts.map(({ worker, part }) => ({ ...facts(worker), ...part.report }));
    const { items, truncated } = mergeChannels(
      parts.map(({ worker, part }) => ({ worker, part: part.list })),
      limit,
    );
    return {
      version,
      node: process.version,
      uptimeSeconds: secondsSince(startedAt),
      totals: {
        workers: workers.length,
        connections: workers.reduce((sum, { connections }) => sum + connections, 0),
        channels: Math.max(0, ...workers.map(({ knownChannels }) => knownChannels)),
      },
      workers,
      channels: items,
      truncated,
      ...(isPartial && { partial: true as const }),
    };
  },
});

/**
 * Counts the subscriptions of this worker, and the channels like `hub.knownChannels`, in several turns of the event loop:
 * 100 000 channels on each of two workers take 30 to 40 ms.
 */
async function totalsOf(
  hub: Pick<Hub, 'channels'>,
  mesh: Pick<Mesh, 'knows' | 'remoteChannelCount'>,
): Promise<{ subscriptions: number; knownChannels: number }> {
  let subscriptions = 0;
  let onlyHere = 0;
  await inSlices(hub.channels(), ({ name, members }) => {
    subscriptions += members.size;
    if (!mesh.knows(name)) onlyHere += 1;
  });
  return { subscriptions, knownChannels: onlyHere + mesh.remoteChannelCount };
}

function facts(worker: AskedWorker) {
  const { id, slot, generation, pid, state: now, startedAt } = worker;
  const own = { workerId: id, slot, generation, pid, state: now, uptimeSeconds: secondsSince(startedAt) };
  return { ...onMachine(worker), ...own };
}

function secondsSince(moment: number): number {
  return Math.round((performance.now() - moment) / 1000);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
