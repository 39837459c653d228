/**
 * The start of a client on a channel with history: its position, and the publications that it requested. It gets
 * exactly the publications that it missed, or the information that they are not available.
 */
import type { Position } from '../channel/position.ts';
import type { Publication } from '../channel/publication.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Hub, HistoryPage } from '../hub.ts';
import type { ConnectQuery } from '../protocol/plain/connect-query.ts';

export interface Replay {
  /** the position after which the client gets every publication; null: the channel has no history */
  readonly position: Position | null;
  /** whether `publications` has all publications after the requested position; null: no position was requested */
  readonly recovered: boolean | null;
  readonly publications: readonly Publication[];
}

export const noReplay: Replay = { position: null, recovered: null, publications: [] };

/**
 * Reads the replay of a client. Called when the hub gets the publications of the channel.
 * @param done called in the order of the answers of the broker, so that later publications follow the replay; null:
 *   the broker did not answer
 */
export function readReplay(
  hub: Hub,
  name: string,
  { historySize, recovery, recoveryLimitBytes }: ChannelOptions,
  { since, history }: Pick<ConnectQuery, 'since' | 'history'>,
  done: (replay: Replay | null) => void,
): void {
  const finish = (page: HistoryPage | null, recovered: boolean | null, from = page?.top) => {
    done(page && from ? { position: from, recovered, publications: page.publications } : null);
  };
  const unrecovered = since === null ? null : false;
  const readLast = () => {
    const range = { since: null, limit: Math.min(history, historySize), limitBytes: recoveryLimitBytes };
    hub.history(name, range, (page) => {
      finish(page, unrecovered);
    });
  };
  if (since !== null && recovery) {
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
