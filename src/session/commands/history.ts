/** `history`: the position of a channel, or a page of its publications. */
import type { HistoryPage } from '../../hub.ts';
import type { Range } from '../../engine/engine.ts';
import { HubError } from '../../platform/errors.ts';
import type { HistoryRequest } from '../../protocol/centrifugal/messages.ts';
import { publicationOf } from '../../protocol/centrifugal/publication.ts';
import type { SessionContext } from '../context.ts';
import { mayRead } from '../permissions.ts';
import { CommandFailure } from '../command-failure.ts';
import { namedChannel } from './subscribe.ts';

/** Most publications, and bytes of publications, of an answer. */
const maxPublications = 300;
const maxBytes = 4 * 1024 * 1024;

export function history(session: SessionContext, id: number, request: HistoryRequest): undefined {
  const { channel, since, reverse } = request;
  const options = namedChannel(session, channel);
  if (options.historySize === 0) throw CommandFailure.error('notAvailable');
  if (reverse && since?.offset === 0) throw CommandFailure.error('badRequest', 'nothing is before offset 0');
  session.channels.whenSettled(channel, () => {
    const answered = mayRead(session, options, channel)
      ? session.inTurn(() => answer(session, id, request))
      : Promise.reject(CommandFailure.error('permissionDenied'));
    answered.catch((error: unknown) => {
      session.fail('history', id, error);
    });
  });
}

async function answer(
  session: SessionContext,
  id: number,
  { channel, limit, since, reverse }: HistoryRequest,
): Promise<void> {
  const page = reverse ? 'reverse' : 'forward';
  const most = limit < 0 ? maxPublications : Math.min(limit, maxPublications);
  const read = (from: Range['since'], count: number) =>
    readPage(session, channel, { since: from, limit: count, limitBytes: maxBytes, page });
  const { publications, top } = await (limit === 0
    ? read(null, 1).then((found) => ({ ...found, publications: [] }))
    : since === null
      ? read(null, most)
      : readSince(since, (from) => read(from, most)));
  session.reply(id, 'history', {
    publications: (reverse ? publications.toReversed() : publications).map(publicationOf),
    epoch: top.epoch,
    offset: top.offset,
  });
}

/** @throws {CommandFailure} as a rejection: the epoch is not that of the channel */
async function readSince(
  since: { readonly epoch: string; readonly offset: number },
  read: (from: Range['since']) => Promise<HistoryPage>,
): Promise<Pick<HistoryPage, 'top' | 'publications'>> {
  const epoch = since.epoch === '' ? (await read(null)).top.epoch : since.epoch;
  const page = await read({ epoch, offset: since.offset });
  if (page.top.epoch !== epoch) throw CommandFailure.error('unrecoverablePosition');
  // The publications after the position are no longer kept: continue with the oldest one that is.
  if (!page.complete && since.offset < page.top.offset) return read(null);
  return page;
}

function readPage({ parts }: SessionContext, channel: string, range: Range): Promise<HistoryPage> {
  return new Promise((resolve, reject) => {
    parts.hub.history(channel, range, (page) => {
      if (page) resolve(page);
      else reject(new HubError('unavailable'));
    });
  });
}
