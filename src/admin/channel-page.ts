/** Channels by name with the workers that have them: a worker's part of a page, and the page made of all parts. */
import { z } from 'zod';
import type { Hub } from '../hub.ts';
import { onMachine, type PageRequest, type WorkerPart } from './action.ts';
import { firstItems, mergePages, type Page } from './pages.ts';

/** The number of a channel's connections on one worker. */
export interface WorkerShare {
  /** absent: the hub has one machine */
  machine?: string;
  workerId: string;
  connections: number;
}

export interface ChannelSummary {
  channel: string;
  connections: number;
  workers: WorkerShare[];
}

export const channelPart = z.object({
  channels: z.array(z.object({ channel: z.string(), connections: z.int() })),
  /** see PagePart */
  through: z.string().nullable(),
});

type ChannelPart = z.infer<typeof channelPart>;

/** Returns this worker's first channels after `after` that match. */
export async function channelsHere(
  hub: Pick<Hub, 'channel' | 'channels'>,
  isWanted: (name: string) => boolean,
  page: PageRequest,
): Promise<ChannelPart> {
  const { items, through } = await firstItems(
    hub.channels(),
    ({ name, members }) => (members.size > 0 && isWanted(name) ? name : null),
    page,
  );
  // Some may have been closed, and opened again, during the iteration.
  const current = items.map(({ name: channel }) => ({
    channel,
    connections: hub.channel(channel)?.members.size ?? 0,
  }));
  return { channels: current.filter(({ connections }) => connections > 0), through };
}

export function mergeChannels(
  parts: readonly WorkerPart<ChannelPart>[],
  limit: number,
): Page<ChannelSummary> {
  const byName = new Map<string, ChannelSummary>();
  for (const { worker, part } of parts) {
    for (const { channel, connections } of part.channels) {
      const summary = byName.get(channel) ?? { channel, connections: 0, workers: [] };
      summary.connections += connections;
      summary.workers.push({ ...onMachine(worker), workerId: worker.id, connections });
      byName.set(channel, summary);
    }
  }
  const throughs = parts.map(({ part }) => part.through);
  return mergePages([...byName.values()], throughs, ({ channel }) => channel, limit);
}
