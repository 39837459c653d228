/** A worker's part in each action: one function a row. */
import type { ActionInput, ActionName, PartialResult } from './actions.ts';
import type { Channel } from '../channel/channel.ts';
import { Publication } from '../channel/publication.ts';
import type { Client } from '../client/client.ts';
import type { Hub } from '../hub.ts';
import type { ProcessStats } from '../metrics/process-stats.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { inSlices } from '../platform/slices.ts';

/** What the actions work on. */
export interface WorkerParts {
  hub: Hub;
  probe: ProcessStats;
}

/** Parts that go through many connections or channels take several turns of the event loop. */
type Parts = {
  [A in ActionName]: (on: WorkerParts, input: ActionInput<A>) => PartialResult<A> | Promise<PartialResult<A>>;
};

const parts: Parts = {
  delete_channel: async ({ hub }, { channel }) => ({
    closed: await closeAll(membersOf(hub, channel), 'channel_deleted'),
  }),

  kill_connection: ({ hub }, { channel, connectionId }) => {
    const connection = membersOf(hub, channel).find(({ id }) => id === connectionId);
    connection?.close('connection_killed');
    return { closed: connection ? 1 : 0 };
  },

  close_user: async ({ hub }, { user }) => ({
    closed: await closeAll(hub.clients.ofUser(user), 'connection_killed'),
  }),

  list_channels: ({ hub }, { prefix, limit }) => firstChannels(hub, prefix, limit),

  show_channel: ({ hub }, { channel, limit }) => {
    const members = membersOf(hub, channel);
    return {
      total: members.length,
      connections: members.slice(0, limit).map((connection) => ({
        connectionId: connection.id,
        workerId: hub.workerId,
        since: new Date(connection.since).toISOString(),
        remoteAddress: connection.remoteAddress,
        bufferedBytes: connection.bufferedBytes,
      })),
    };
  },

  publish: ({ hub }, input) => {
    publishHere(hub, input);
    return {};
  },

  state: async ({ hub, probe }, { limit }) => ({
    connections: hub.clients.size,
    channels: hub.registry.size,
    knownChannels: hub.knownChannels(),
    eventLoopLagMs: round(probe.lagP99 * 1000),
    eventLoopUtilization: round(probe.utilization),
    residentBytes: probe.residentBytes,
    heapUsedBytes: probe.heapUsedBytes,
    linkQueueBytes: hub.mesh.queuedBytes,
    linkQueues: hub.mesh.queues(),
    linked: hub.mesh.linked,
    list: await firstChannels(hub, '', limit),
  }),
};

/** Does this worker's part, and resolves with it. The input is the primary's, which the routes have checked. */
export async function execute(on: WorkerParts, action: ActionName, input: unknown): Promise<unknown> {
  return parts[action](on, input as never);
}

export function publishHere(hub: Hub, { channel, payload }: ActionInput<'publish'>): void {
  hub.publish(channel, new Publication(Buffer.from(payload), 'http'));
}

/** Closes those that are still open. @returns how many that were */
async function closeAll(connections: Iterable<Client>, reason: CloseReason): Promise<number> {
  let closed = 0;
  await inSlices(connections, (connection) => {
    if (connection.state !== 'open') return;
    connection.close(reason);
    closed += 1;
  });
  return closed;
}

/** The longest that an accepted publication waits for its answer because its channel is congested. */
const maxPaceMs = 1_500;

/** Resolves when the publisher may send more to the channel, but in a time in which nobody gives the answer up. */
export async function flowing(hub: Hub, channel: string): Promise<void> {
  if (!hub.isCongested(channel)) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, maxPaceMs);
    hub.whenFlowing(channel, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function membersOf(hub: Hub, channel: string): Client[] {
  return [...(hub.registry.get(channel)?.members.keys() ?? [])];
}

/**
 * The first channels by name, so that the parts of all workers cover the first of the whole hub. Only those are
 * kept while it looks: a hub may have half a million, and be asked every second.
 */
async function firstChannels(
  { registry }: Hub,
  prefix: string,
  limit: number,
): Promise<PartialResult<'list_channels'>> {
  const first: Channel<Client>[] = [];
  let truncated = false;
  await inSlices(registry.channels(), (channel) => {
    const { name, members } = channel;
    if (members.size === 0 || !name.startsWith(prefix)) return;
    const last = first[limit - 1];
    truncated ||= first.length >= limit;
    if (last && last.name < name) return;
    first.splice(placeOf(name, first), 0, channel);
    if (first.length > limit) first.pop();
  });
  // Some may have been closed, and opened again, while it looked.
  const current = first.filter(
    ({ name, members }) => members.size > 0 && registry.get(name)?.members === members,
  );
  return {
    channels: current.map(({ name, members }) => ({ channel: name, connections: members.size })),
    truncated,
  };
}

/** Where a name belongs in a sorted list; by halves, because every name may be the first so far. */
function placeOf(name: string, sorted: readonly { name: string }[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
