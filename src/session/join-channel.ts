/**
 * Joins a channel: this worker gets its publications, and the client's missed ones are read. On a channel with history
 * a client gets exactly the publications that it missed, or the information that they are not available.
 */
import type { Channel } from '../channel/channel.ts';
import type { Position } from '../channel/position.ts';
import type { Publication } from '../channel/publication.ts';
import type { Subscription } from '../client/client.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Hub, HistoryPage } from '../hub.ts';
import type { MembersView } from './members-view.ts';

/** The publications that a client requests. */
export interface ReplayRequest {
  /** the position to resume from; null: none. Epoch `''`: the present one */
  readonly since: Position | null;
  /** number of last publications if `since` is not given or cannot be recovered */
  readonly history: number;
  /** the events about other members that the client requests; absent: none */
  readonly members?: MembersView | null;
}

export interface Replay {
  /** the position after which the client gets every publication; null: the channel has no history */
  readonly position: Position | null;
  /** whether `publications` has all publications after the requested position; null: no position was requested */
  readonly recovered: boolean | null;
  readonly publications: readonly Publication[];
}

const noReplay: Replay = { position: null, recovered: null, publications: [] };

/** How long a join waits for the broker, for example while the broker is replaced. */
const brokerTimeoutMs = 2_000;

/**
 * Reserves a channel and reads the replay. The caller must subscribe the client in `ready`, or release the channel:
 * publications follow the replay from then on.
 * @param ready called once; `replay` is null if the broker does not answer in time
 */
export function joinChannel(
  hub: Hub,
  name: string,
  options: ChannelOptions,
  request: ReplayRequest,
  ready: (channel: Channel<Subscription>, replay: Replay | null) => void,
): void {
  const channel = hub.reserve(name);
  const { members = null } = request;
  if (hub.isUnreachable(options)) {
    ready(channel, null);
    return;
  }
  if (options.historySize === 0 && !members && !hub.isShared) {
    hub.whenKnown(channel, () => {
      ready(channel, noReplay);
    });
    return;
  }
  let isAnswered = false;
  const answer = (replay: Replay | null) => {
    if (isAnswered) return; // the broker answered after the deadline
    isAnswered = true;
    clearTimeout(deadline);
    ready(channel, replay);
  };
  const read = () => {
    if (isAnswered) return;
    if (options.historySize === 0) answer(noReplay);
    else readReplay(hub, name, options, request, answer);
  };
  const deadline = setTimeout(() => {
    withdraw();
    answer(null);
  }, brokerTimeoutMs);
  const withdraw = hub.whenKnown(channel, () => {
    if (!isAnswered && members) members.prepare(read);
    else read();
  });
}

/**
 * Called when the hub gets the publications of the channel.
 * @param done called in the order of the answers of the broker, so that later publications follow the replay; null:
 *   the broker did not answer
 */
function readReplay(
  hub: Hub,
  name: string,
  { historySize, recovery, recoveryLimitBytes }: ChannelOptions,
  { since: requested, history }: ReplayRequest,
  done: (replay: Replay | null) => void,
): void {
  const finish = (page: HistoryPage | null, recovered: boolean | null, from = page?.top) => {
    done(page && from ? { position: from, recovered, publications: page.publications } : null);
  };
  const unrecovered = requested === null ? null : false;
  const readLast = () => {
    const range = { since: null, limit: Math.min(history, historySize), limitBytes: recoveryLimitBytes };
    hub.history(name, range, (page) => {
      finish(page, unrecovered);
    });
  };
  if (requested !== null && recovery) {
    const since = withEpoch(requested, hub.positionOf(name));
    hub.history(name, { since, limit: historySize, limitBytes: recoveryLimitBytes }, (page) => {
      if (page?.complete) finish(page, true, since);
      else if (page && history > 0) readLast();
      else finish(page, false);
    });
  } else if (history > 0) {
    readLast();
  } else {
    const position = hub.positionOf(name);
    done(position && { position, recovered: unrecovered, publications: [] });
  }
}

function withEpoch(position: Position, present: Position | null): Position {
  return position.epoch === '' && present ? { epoch: present.epoch, offset: position.offset } : position;
}
