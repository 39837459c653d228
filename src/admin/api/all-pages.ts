/** Reads a whole list: the server API has no pages. */
import type { PageRequest } from '../action.ts';
import { ApiError } from './errors.ts';

const pageItems = 1_000;
/** Maximum items of an answer. */
const maxItems = 10_000;

/** @throws {ApiError} `limit_exceeded`, as a rejection: the list is too long */
export async function allPages<Page extends { next?: string }, Item>(
  read: (page: PageRequest) => Promise<Page>,
  itemsOf: (page: Page) => readonly Item[],
): Promise<Item[]> {
  const items: Item[] = [];
  let after: string | undefined = '';
  while (after !== undefined) {
    if (items.length >= maxItems) {
      const message = `there are more than ${maxItems}; read them in pages, with GET /channels`;
      throw new ApiError('limit_exceeded', message);
    }
    const page: Page = await read({ after, limit: pageItems });
    items.push(...itemsOf(page));
    after = page.next;
  }
  return items;
}
