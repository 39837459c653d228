/**
 * Pages of a list that is distributed over the workers, sorted by name. Each worker returns its first items after a name, and the
 * page consists of the first of all. A page may have fewer items than its limit; `next` says whether there are more.
 */
import { inSlices } from '../platform/slices.ts';
import type { PageRequest } from './action.ts';

/** One worker's part of a page. */
export interface PagePart<T> {
  /** sorted by name */
  items: T[];
  /** last name that the worker has examined, if it has more after it; null: no more */
  through: string | null;
}

export interface Page<T> {
  items: T[];
  truncated: boolean;
  /** the `after` of the page that follows; undefined: this is the last */
  next: string | undefined;
}

/**
 * Returns the first items after `after`. Only those are stored during the iteration: a hub may have half a million channels and
 * get a request every second.
 * @param nameOf returns null to skip an item
 */
export async function firstItems<T>(
  items: Iterable<T>,
  nameOf: (item: T) => string | null,
  { after, limit }: PageRequest,
): Promise<PagePart<T>> {
  /** one more than the limit, to detect whether there are more */
  const first: { name: string; item: T }[] = [];
  await inSlices(items, (item) => {
    const name = nameOf(item);
    if (name === null || name <= after) return;
    const last = first[limit];
    if (last && last.name < name) return;
    first.splice(placeOf(name, first), 0, { name, item });
    if (first.length > limit + 1) first.pop();
  });
  const hasMore = first.length > limit;
  const wanted = first.slice(0, limit);
  return {
    items: wanted.map(({ item }) => item),
    through: hasMore ? (wanted.at(-1)?.name ?? null) : null,
  };
}

/**
 * Merges the parts of all workers into a page.
 * @param items of all workers, one per name
 * @param throughs of the workers' parts
 */
export function mergePages<T>(
  items: readonly T[],
  throughs: readonly (string | null)[],
  nameOf: (item: T) => string,
  limit: number,
): Page<T> {
  // Items of a worker are missing after the name at which it stopped.
  const bound = throughs.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
  const known = items.filter((item) => bound === null || nameOf(item) <= bound);
  const sorted = known.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const page = sorted.slice(0, limit);
  const last = page.at(-1);
  if (sorted.length > limit && last !== undefined)
    return { items: page, truncated: true, next: nameOf(last) };
  return { items: page, truncated: bound !== null, next: bound ?? undefined };
}

/** Returns the index of a name in a sorted list, by binary search. */
function placeOf(name: string, sorted: readonly { name: string }[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
