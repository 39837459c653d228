/**
 * Keeps the number of clients about the same on all workers. The kernel spreads clients by a hash, evenly only in
 * the long run, and clients leave as they like: who has more than its share lets others accept the next of its clients.
 * Dry: numbers in, numbers out.
 */

export interface Holder {
  readonly clients: number;
}

/** So many of the clients who come to one are to go to the other. */
export interface Move<H> {
  readonly from: H;
  readonly to: H;
  readonly clients: number;
}

/** Who lacks most gets from who has most, each from one and to one at a time. */
export function planMoves<H extends Holder>(holders: readonly H[]): Move<H>[] {
  const sorted = holders.toSorted((a, b) => a.clients - b.clients);
  const mean = sorted.reduce((sum, { clients }) => sum + clients, 0) / sorted.length;
  const moves: Move<H>[] = [];
  for (let low = 0, high = sorted.length - 1; low < high; low++, high--) {
    const [to, from] = [sorted[low], sorted[high]];
    if (!to || !from || from.clients === to.clients) break;
    const clients = Math.ceil(Math.min(mean - to.clients, from.clients - mean));
    if (clients > 0) moves.push({ from, to, clients });
  }
  return moves;
}
