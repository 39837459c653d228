/**
 * Pages of a list that is spread over the workers, in the order of names. Each worker gives its first items behind a
 * name, and the page consists of the first of those. A page may have fewer items than its limit; `next` says whether
 * there are more.
 */
import { inSlices } from '../platform/slices.ts';
import type { PageRequest } from './action.ts';

/** What one worker has for a page. */
export interface PagePart<T> {
  /** sorted by name */
  items: T[];
  /** last name that the worker looked at, where it has more behind it; null: it has no more */
  through: string | null;
}

export interface Page<T> {
  items: T[];
  truncated: boolean;
  /** the `after` of the page that follows; undefined: this is the last */
  next: string | undefined;
}

/**
 * The first items behind `after`. Only those are kept during the walk: a hub may have half a million channels and be
 * asked every second.
 * @param nameOf null: the item is not wanted
 */
export async function firstItems<T>(
  items: Iterable<T>,
  nameOf: (item: T) => string | null,
  { after, limit }: PageRequest,
): Promise<PagePart<T>> {
  /** one more than wanted: it says that there are more */
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
 * The page made of all parts.
 * @param items of all workers, one per name
 * @param throughs of the workers' parts
 */
export function mergePages<T>(
  items: readonly T[],
  throughs: readonly (string | null)[],
  nameOf: (item: T) => string,
  limit: number,
): Page<T> {
  // Behind the first name at which a worker stopped, its items are missing.
  const bound = throughs.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
  const known = items.filter((item) => bound === null || nameOf(item) <= bound);
  const sorted = known.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const page = sorted.slice(0, limit);
  const last = page.at(-1);
  if (sorted.length > limit && last !== undefined)
    return { items: page, truncated: true, next: nameOf(last) };
  return { items: page, truncated: bound !== null, next: bound ?? undefined };
}

/** Where a name belongs in a sorted list; by halves, because every name may be the first so far. */
function placeOf(name: string, sorted: readonly { name: string }[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
