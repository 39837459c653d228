/** Reads a page of the history of a channel, for the actions that answer with one. */
import type { HistoryPage, Hub } from '../hub.ts';
import type { Range } from '../engine/engine.ts';
import { HubError } from '../platform/errors.ts';

/** Bytes of messages after which a page ends. */
const pageBytes = 4 * 1024 * 1024;

/** @throws {HubError} `bad_request`: the channel has no history; `unavailable`, as a rejection: no answer in time */
export function readPage(hub: Hub, channel: string, range: Omit<Range, 'limitBytes'>): Promise<HistoryPage> {
  return new Promise((resolve, reject) => {
    hub.history(channel, { ...range, limitBytes: pageBytes }, (page) => {
      if (page) resolve(page);
      else reject(new HubError('unavailable', 'the broker did not answer in time; try again'));
    });
  });
}
