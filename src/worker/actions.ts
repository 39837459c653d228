/** A worker's part in each action: one function a row. */
import type { ActionInput, ActionName, ActionPart } from '../control/actions.ts';
import type { Connection } from '../connection/connection.ts';
import type { Hub } from '../hub.ts';
import type { ProcessProbe } from '../observability/process-probe.ts';
import type { CloseReason } from '../protocol/close-codes.ts';

/** What the actions work on. */
export interface WorkerParts {
  hub: Hub;
  probe: ProcessProbe;
}

type Parts = { [A in ActionName]: (on: WorkerParts, input: ActionInput<A>) => ActionPart<A> };

const parts: Parts = {
  delete_channel: ({ hub }, { channel }) => {
    const members = membersOf(hub, channel);
    for (const connection of members) connection.close('channel_deleted');
    return { closed: members.length };
  },

  kill_connection: ({ hub }, { channel, connectionId }) => {
    const connection = membersOf(hub, channel).find(({ id }) => id === connectionId);
    connection?.close('connection_killed');
    return { closed: connection ? 1 : 0 };
  },

  close_user: ({ hub }, { user }) => {
    const open = hub.connectionSet.ofUser(user).filter(({ state }) => state === 'open');
    closeInSlices(open, 'connection_killed');
    return { closed: open.length };
  },

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

  state: ({ hub, probe }, { limit }) => ({
    connections: hub.connectionSet.size,
    channels: hub.registry.size,
    knownChannels: hub.knownChannels(),
    eventLoopLagMs: round(probe.lagP99 * 1000),
    eventLoopUtilization: round(probe.utilization),
    residentBytes: probe.residentBytes,
    heapUsedBytes: probe.heapUsedBytes,
    linkQueueBytes: hub.mesh.queuedBytes,
    linkQueues: hub.mesh.queues(),
    linked: hub.mesh.linked,
    list: firstChannels(hub, '', limit),
  }),
};

/** Does this worker's part. The input is the primary's, which the routes have checked. */
export function carryOut(on: WorkerParts, action: ActionName, input: unknown): unknown {
  return parts[action](on, input as never);
}

export function publishHere(hub: Hub, { channel, payload }: ActionInput<'publish'>): void {
  hub.publish(channel, Buffer.from(payload), null, 'http');
}

/** milliseconds of closing after which everything else has a turn */
const sliceMs = 3;

/** Closes them at once, or over several turns of the event loop if there are many. */
function closeInSlices(connections: readonly Connection[], reason: CloseReason): void {
  const until = performance.now() + sliceMs;
  for (const [index, connection] of connections.entries()) {
    connection.close(reason);
    if (performance.now() < until) continue;
    const rest = connections.slice(index + 1);
    setImmediate(closeInSlices, rest, reason);
    return;
  }
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

function membersOf(hub: Hub, channel: string): Connection[] {
  return [...(hub.registry.get(channel)?.members.keys() ?? [])];
}

/**
 * The first channels by name, so that the parts of all workers cover the first of the whole hub. Only those are
 * kept while it looks: a hub may have half a million, and be asked every second.
 */
function firstChannels(hub: Hub, prefix: string, limit: number): ActionPart<'list_channels'> {
  const first: { channel: string; connections: number }[] = [];
  let truncated = false;
  for (const { name, members } of hub.registry.channels()) {
    if (members.size === 0 || !name.startsWith(prefix)) continue;
    const last = first[limit - 1];
    truncated ||= first.length >= limit;
    if (last && last.channel < name) continue;
    first.splice(placeOf(name, first), 0, { channel: name, connections: members.size });
    if (first.length > limit) first.pop();
  }
  return { channels: first, truncated };
}

/** Where a name belongs in a sorted list; by halves, because every name may be the first so far. */
function placeOf(name: string, sorted: readonly { channel: string }[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.channel ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
