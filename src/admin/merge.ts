/** From the workers' parts to one answer: one function a row. */
import type {
  ActionResult,
  ActionInput,
  ActionName,
  PartialResult,
  ChannelSummary,
  WorkerReport,
  WorkerState,
} from './actions.ts';
import { HubError } from '../platform/errors.ts';

/** A worker as it is shown: worker-process.ts fits. */
type AskedWorker = Pick<WorkerState, 'slot' | 'generation' | 'pid' | 'state'> & {
  id: string;
  startedAt: number;
};

/** What one worker answered. */
export interface WorkerPart<P> {
  worker: AskedWorker;
  part: P;
}

/** What the primary knows of itself. */
export interface HubFacts {
  version: string;
  /** milliseconds of the monotonic clock */
  startedAt: number;
}

export type Mergers = {
  [A in ActionName]: (
    input: ActionInput<A>,
    parts: readonly WorkerPart<PartialResult<A>>[],
    facts: HubFacts,
  ) => ActionResult<A>;
};

export const mergers: Mergers = {
  delete_channel: ({ channel }, parts) => {
    const closed = parts.reduce((sum, { part }) => sum + part.closed, 0);
    if (closed === 0) throw new HubError('not_found', `nobody is on channel ${JSON.stringify(channel)}`);
    return { channel, closed };
  },

  kill_connection: (input, parts) => {
    const closed = parts.reduce((sum, { part }) => sum + part.closed, 0);
    if (closed === 0) throw new HubError('not_found', 'there is no such connection');
    return { ...input, closed };
  },

  close_user: ({ user }, parts) => {
    const closed = parts.reduce((sum, { part }) => sum + part.closed, 0);
    if (closed === 0) throw new HubError('not_found', `user ${JSON.stringify(user)} has no connection`);
    return { user, closed };
  },

  list_channels: ({ limit }, parts) => mergeChannels(parts, limit),

  show_channel: ({ channel, limit }, parts) => {
    const total = parts.reduce((sum, { part }) => sum + part.total, 0);
    if (total === 0) throw new HubError('not_found', `nobody is on channel ${JSON.stringify(channel)}`);
    const connections = parts.flatMap(({ part }) => part.connections).slice(0, limit);
    return { channel, total, connections };
  },

  publish: ({ channel }, parts) => {
    if (parts.length === 0) throw new HubError('unavailable');
    return { channel };
  },

  state: ({ limit }, parts, { version, startedAt }) => {
    const workers = parts.map(({ worker, part }) => stateOf(worker, part));
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
      ...mergeChannels(
        parts.map(({ worker, part }) => ({ worker, part: part.list })),
        limit,
      ),
    };
  },
};

function stateOf(
  { id, slot, generation, pid, state, startedAt }: AskedWorker,
  part: PartialResult<'state'>,
): WorkerState {
  const report: WorkerReport & { list?: unknown } = { ...part };
  delete report.list; // the channels of all workers are joined
  return { workerId: id, slot, generation, pid, state, uptimeSeconds: secondsSince(startedAt), ...report };
}

function secondsSince(moment: number): number {
  return Math.round((performance.now() - moment) / 1000);
}

/** The first channels by name, with the shares of all workers. */
function mergeChannels(
  parts: readonly WorkerPart<PartialResult<'list_channels'>>[],
  limit: number,
): { channels: ChannelSummary[]; truncated: boolean } {
  const byName = new Map<string, ChannelSummary>();
  for (const { worker, part } of parts) {
    for (const { channel, connections } of part.channels) {
      const summary = byName.get(channel) ?? { channel, connections: 0, workers: [] };
      summary.connections += connections;
      summary.workers.push({ workerId: worker.id, connections });
      byName.set(channel, summary);
    }
  }
  const channels = [...byName.values()].sort((a, b) => (a.channel < b.channel ? -1 : 1));
  return {
    channels: channels.slice(0, limit),
    truncated: channels.length > limit || parts.some(({ part }) => part.truncated),
  };
}
