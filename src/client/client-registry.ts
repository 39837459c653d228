/**
 * All connections of this worker: counted, iterated, found by id or user, and pinged. Each connection is pinged once
 * per interval. A connection that has sent nothing since its last ping is dropped. One timer serves all connections.
 * A sweep is split into slices, so that it never blocks the event loop.
 */

export interface Pingable {
  /** unique; constant */
  readonly id: string;
  /** null: no user; constant */
  readonly user: string | null;
  /** the slice of the connection; only the registry changes it */
  pingBucket: number;
  /** a ping was sent, and nothing was received since */
  awaitsPong: boolean;
  /** the hub has paused reading, so no pong can be expected */
  readonly paused: boolean;
  ping(): void;
  /** Drops the connection, because no pong arrived within an interval. */
  onPingTimeout(): void;
}

const bucketCount = 128;

export class ClientRegistry<C extends Pingable> {
  readonly #slices = Array.from({ length: bucketCount }, () => new Set<C>());
  readonly #byId = new Map<string, C>();
  readonly #byUser = new Map<string, Set<C>>();
  #timer: NodeJS.Timeout | undefined;
  #nextSlice = 0;
  #nextSweep = 0;

  get size(): number {
    return this.#byId.size;
  }

  add(connection: C): void {
    connection.pingBucket = this.#nextSlice;
    this.#nextSlice = (this.#nextSlice + 1) % bucketCount;
    this.#slices[connection.pingBucket]?.add(connection);
    this.#byId.set(connection.id, connection);
    const { user } = connection;
    if (user === null) return;
    const own = this.#byUser.get(user);
    if (own) own.add(connection);
    else this.#byUser.set(user, new Set([connection]));
  }

  delete(connection: C): void {
    if (!this.#slices[connection.pingBucket]?.delete(connection)) return;
    this.#byId.delete(connection.id);
    const { user } = connection;
    const own = user === null ? undefined : this.#byUser.get(user);
    if (user !== null && own?.delete(connection) && own.size === 0) this.#byUser.delete(user);
  }

  get(id: string): C | undefined {
    return this.#byId.get(id);
  }

  ofUser(user: string): C[] {
    return [...(this.#byUser.get(user) ?? [])];
  }

  *[Symbol.iterator](): Generator<C> {
    for (const slice of this.#slices) yield* slice;
  }

  /** @param intervalMs time between two pings of a connection */
  startPinging(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.pingNextBucket();
    }, intervalMs / bucketCount);
  }

  stopPinging(): void {
    clearInterval(this.#timer);
  }

  pingNextBucket(): void {
    const slice = this.#slices[this.#nextSweep] ?? [];
    this.#nextSweep = (this.#nextSweep + 1) % bucketCount;
    for (const connection of slice) {
      if (connection.paused) continue;
      if (connection.awaitsPong) {
        connection.onPingTimeout();
      } else {
        connection.awaitsPong = true;
        connection.ping();
      }
    }
  }
}
