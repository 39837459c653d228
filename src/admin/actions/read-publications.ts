/** Reads the history of a channel as publications of Centrifugo's server API. */
import { z } from 'zod';
import { senderOf, type Publication } from '../../channel/publication.ts';
import { defineSingleAction } from '../action.ts';
import { readPage } from '../history.ts';

const nothing = { epoch: '', offset: 0 };

export const readPublications = defineSingleAction({
  name: 'read_publications',
  scope: 'read',
  byChannel: true,
  audit: 'debug',
  /** more than a worker waits for the broker */
  timeoutMs: 6_000,
  isRepeatable: true,
  input: z.object({
    channel: z.string(),
    /** `epoch` `''`: the present one. `offset` 0 without `reverse`: from the oldest kept publication */
    since: z.object({ epoch: z.string(), offset: z.int() }).nullable(),
    /** 0: only the position is read */
    limit: z.int().min(0),
    page: z.enum(['forward', 'reverse']),
  }),
  answer: z.object({
    epoch: z.string(),
    offset: z.int(),
    /** false: the publications that follow `since` are no longer kept, or its epoch is another one */
    isComplete: z.boolean(),
    /** the elements of a list, as JSON text */
    publications: z.string(),
  }),
  run: async ({ hub }, { channel, since, limit, page }) => {
    const { epoch, offset } = since ?? nothing;
    const isFromStart = offset === 0;
    const known = isFromStart || epoch !== '' ? epoch : (await readPage(hub, channel, first)).top.epoch;
    const position = isFromStart ? null : { epoch: known, offset };
    const read = await readPage(hub, channel, { since: position, limit: Math.max(limit, 1), page });
    const isOther = epoch !== '' && epoch !== read.top.epoch;
    const wanted = limit === 0 || isOther ? [] : read.publications;
    const ordered = page === 'reverse' ? wanted.toReversed() : wanted;
    return {
      ...read.top,
      isComplete: read.complete && !isOther,
      publications: ordered.map((publication) => publicationText(publication)).join(','),
    };
  },
});

const first = { since: null, limit: 1, page: 'forward' } as const;

/** The payload stands in it byte for byte. */
function publicationText({ stored, payload }: Publication): string {
  if (!stored) throw new Error('a publication of the history has no position');
  const sender = senderOf(stored.meta);
  const info = sender && JSON.stringify({ user: sender.user ?? '', client: sender.id });
  return `{"data":${payload.toString()}${info === null ? '' : `,"info":${info}`},"offset":${stored.position.offset}}`;
}
