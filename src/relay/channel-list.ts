/** All channels of the hub, as one worker knows them. The data of its siblings is at most a second old. */
import type { Relay, RelayChannel, RemoteMembers } from './relay.ts';

export interface ChannelSummary {
  channel: string;
  /** subscribers on all workers */
  connections: number;
  workers: RemoteMembers[];
}

/**
 * Yields each channel once. May be iterated over several turns of the event loop: a channel that opens or closes meanwhile may
 * be missing.
 * @param local the channels of this worker
 */
export function* channelList(
  workerId: string,
  local: Iterable<RelayChannel>,
  relay: Pick<Relay, 'remoteChannels' | 'remoteWorkers'>,
): Generator<ChannelSummary> {
  const listed = new Set<string>();
  for (const { name, members } of local) {
    listed.add(name);
    yield summaryOf(name, [{ workerId, connections: members.size }, ...relay.remoteWorkers(name)]);
  }
  for (const name of relay.remoteChannels()) {
    if (!listed.has(name)) yield summaryOf(name, relay.remoteWorkers(name));
  }
}

function summaryOf(channel: string, workers: RemoteMembers[]): ChannelSummary {
  return {
    channel,
    connections: workers.reduce((total, { connections }) => total + connections, 0),
    workers,
  };
}
