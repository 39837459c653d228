/** The subscriptions of a channel by connection id: a worker's part of a page, and the page made of all parts. */
import type { Subscription } from '../client/client.ts';
import type { Hub } from '../hub.ts';
import type { PageRequest } from './action.ts';
import { firstItems, mergePages, type Page, type PagePart } from './pages.ts';

/** Returns this worker's first subscriptions of the channel after `after`. */
export async function subscriptionsHere(
  hub: Pick<Hub, 'channel'>,
  channel: string,
  page: PageRequest,
): Promise<PagePart<Subscription>> {
  const members = hub.channel(channel)?.members ?? [];
  const { items, through } = await firstItems(members, ({ client }) => client.id, page);
  // Some may have been closed during the iteration.
  return { items: items.filter(({ client }) => client.state === 'open'), through };
}

/** Merges the parts of all workers. */
export function mergeClients<Item extends { connectionId: string }>(
  parts: readonly PagePart<Item>[],
  limit: number,
): Page<Item> {
  return mergePages(
    parts.flatMap(({ items }) => items),
    parts.map(({ through }) => through),
    ({ connectionId }) => connectionId,
    limit,
  );
}
