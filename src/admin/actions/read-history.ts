/** Reads the history of a channel, a page at a time. The messages stand in the answer byte for byte. */
import { z } from 'zod';
import { parsePosition } from '../../channel/position.ts';
import { senderOf, type Publication } from '../../channel/publication.ts';
import { HubError } from '../../platform/errors.ts';
import type { HistoryPage } from '../../hub.ts';
import { defineSingleAction } from '../action.ts';
import { readPage } from '../history.ts';

export const readHistory = defineSingleAction({
  name: 'read_history',
  routes: [{ method: 'GET', path: '/channels/:channel/history' }],
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  /** more than a worker waits for the broker */
  timeoutMs: 6_000,
  isRepeatable: true,
  input: z.object({
    channel: z.string(),
    since: z.object({ epoch: z.string(), offset: z.int() }).nullable(),
    limit: z.int().min(1),
    page: z.enum(['forward', 'reverse']),
  }),
  read: (request) => {
    const [text, reverse = 'false'] = [request.query('since'), request.query('reverse')];
    const since = text === undefined ? null : parsePosition(text);
    if (text !== undefined && since === null)
      throw new HubError('bad_query', 'since must be <epoch>:<offset>');
    if (reverse !== 'true' && reverse !== 'false') {
      throw new HubError('bad_query', 'reverse must be true or false');
    }
    const page: 'forward' | 'reverse' = reverse === 'true' ? 'reverse' : 'forward';
    return { channel: request.channel(), since, limit: request.page().limit, page };
  },
  /** JSON text */
  answer: z.string(),
  run: async ({ hub }, { channel, ...range }) =>
    textOf(channel, await readPage(hub, channel, range), range.page === 'reverse'),
});

function textOf(
  channel: string,
  { top, complete, more, publications }: HistoryPage,
  isReverse: boolean,
): string {
  const messages = (isReverse ? publications.toReversed() : publications).map(messageOf);
  const head = JSON.stringify({ channel, ...top }).slice(0, -1);
  return `${head},"messages":[${messages.join(',')}],"truncated":${String(more || !complete)}}`;
}

function messageOf({ stored, payload }: Publication): string {
  if (!stored) throw new Error('a publication of the history has no position');
  const sender = senderOf(stored.meta);
  const head = `{"offset":${stored.position.offset},"time":${Math.floor(stored.time)},"data":${payload.toString()}`;
  if (sender === null) return `${head}}`;
  const user = sender.user === null ? {} : { user: sender.user };
  return `${head},${JSON.stringify({ connectionId: sender.id, ...user }).slice(1)}`;
}
