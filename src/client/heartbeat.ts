/**
 * Pings each connection once per interval. A connection that has sent nothing since its last ping is dropped. One timer
 * serves all connections, and a sweep is split into slices, so that it never blocks the event loop.
 */

export interface Pingable {
  /** the slice of the connection; only the heartbeat changes it */
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

export class Heartbeat<C extends Pingable> {
  readonly #slices = Array.from({ length: bucketCount }, () => new Set<C>());
  #nextSlice = 0;
  #nextSweep = 0;

  add(connection: C): void {
    connection.pingBucket = this.#nextSlice;
    this.#nextSlice = (this.#nextSlice + 1) % bucketCount;
    this.#slices[connection.pingBucket]?.add(connection);
  }

  delete(connection: C): void {
    this.#slices[connection.pingBucket]?.delete(connection);
  }

  /** Pings until the process ends. @param intervalMs time between two pings of a connection */
  start(intervalMs: number): void {
    setInterval(() => {
      this.#pingNextSlice();
    }, intervalMs / bucketCount);
  }

  #pingNextSlice(): void {
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
