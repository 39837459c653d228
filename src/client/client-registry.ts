/** All connections of this worker: counted, iterated, and found by id or user. */

export interface Identified {
  /** unique; constant */
  readonly id: string;
  /** null: no user; constant while it is in the registry */
  readonly user: string | null;
}

export class ClientRegistry<C extends Identified> {
  readonly #byId = new Map<string, C>();
  readonly #byUser = new Map<string, Set<C>>();
  /** number of connections with a user */
  #identified = 0;

  get size(): number {
    return this.#byId.size;
  }

  /** Number of different users; all connections without one count as one user. */
  get userCount(): number {
    return this.#byUser.size + Number(this.#byId.size > this.#identified);
  }

  add(connection: C): void {
    this.#byId.set(connection.id, connection);
    const { user } = connection;
    if (user === null) return;
    this.#identified += 1;
    const own = this.#byUser.get(user);
    if (own) own.add(connection);
    else this.#byUser.set(user, new Set([connection]));
  }

  delete(connection: C): void {
    if (!this.#byId.delete(connection.id)) return;
    const { user } = connection;
    if (user === null) return;
    this.#identified -= 1;
    const own = this.#byUser.get(user);
    if (own?.delete(connection) && own.size === 0) this.#byUser.delete(user);
  }

  get(id: string): C | undefined {
    return this.#byId.get(id);
  }

  ofUser(user: string): C[] {
    return [...(this.#byUser.get(user) ?? [])];
  }

  [Symbol.iterator](): MapIterator<C> {
    return this.#byId.values();
  }
}
