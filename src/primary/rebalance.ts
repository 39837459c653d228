/**
 * Plans how to even out the number of clients per worker. The kernel distributes clients by a hash, and they leave at random:
 * a worker above its share lets another one accept its next clients. Free of I/O: numbers in, numbers out.
 */

export interface Holder {
  readonly clients: number;
}

/** The next `clients` of `from` are to be accepted by `to`. */
export interface Move<H> {
  readonly from: H;
  readonly to: H;
  readonly clients: number;
}

/** Pairs the least loaded worker with the most loaded one, and so on; each takes part in one move. */
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
