/**
 * What a client that joins a channel with history gets first: its position, and the publications that it asked for. Exactly
 * those that it missed, or none and the word that they cannot be had.
 */
import type { Position } from '../channel/position.ts';
import type { Publication } from '../channel/publication.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Hub, HistoryPage } from '../hub.ts';
import type { ConnectQuery } from '../protocol/plain/connect-query.ts';

export interface Replay {
  /** from here on the client sees everything; null: the channel has no history */
  readonly position: Position | null;
  /** whether what followed the requested position is in `publications`; null: the client requested none */
  readonly recovered: boolean | null;
  readonly publications: readonly Publication[];
}

export const noReplay: Replay = { position: null, recovered: null, publications: [] };

/**
 * Reads it, once the hub gets the channel's publications.
 * @param done called in the order of the broker's answers, so that what comes after it follows the replay; null: the broker
 *   did not answer
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
