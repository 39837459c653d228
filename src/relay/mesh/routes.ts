/**
 * The channels that each sibling listens to, by the interest that it announced on its link. Knows no link: a sibling
 * is any value of the caller, compared by identity.
 */

export interface Route<S> {
  readonly sibling: S;
  /** the sibling's own number for the channel */
  readonly channelId: number;
  readonly name: string;
  /** the sibling's number of connections on the channel, by its last report */
  members: number;
  /** when the last publication was or will be sent; only the mesh changes it */
  dueAt: number;
}

/** The interest of one sibling. */
interface Announced<S> {
  readonly byId: Map<number, Route<S>>;
  /** numbers since `begin`, until `complete`; null: no complete announcement is in progress */
  fresh: Set<number> | null;
}

export class Routes<S> {
  readonly #byName = new Map<string, Route<S>[]>();
  readonly #announced = new Map<S, Announced<S>>();

  /** Returns the siblings that listen to a channel. */
  to(name: string): readonly Route<S>[] | undefined {
    return this.#byName.get(name);
  }

  /** Number of channels that at least one sibling listens to. */
  get size(): number {
    return this.#byName.size;
  }

  /** Names of these channels. */
  names(): MapIterator<string> {
    return this.#byName.keys();
  }

  /** Number of channels that this sibling listens to. */
  channelsOf(sibling: S): number {
    return this.#announced.get(sibling)?.byId.size ?? 0;
  }

  add(sibling: S, channelId: number, name: string): void {
    const announced = this.#of(sibling);
    announced.fresh?.add(channelId);
    if (announced.byId.has(channelId)) return;
    const route: Route<S> = { sibling, channelId, name, members: 0, dueAt: -Infinity };
    announced.byId.set(channelId, route);
    const routes = this.#byName.get(name);
    if (routes) routes.push(route);
    else this.#byName.set(name, [route]);
  }

  /** Returns the name of a channel; undefined: the sibling has not announced it. */
  nameOf(sibling: S, channelId: number): string | undefined {
    return this.#announced.get(sibling)?.byId.get(channelId)?.name;
  }

  drop(sibling: S, channelId: number): void {
    const announced = this.#of(sibling);
    const route = announced.byId.get(channelId);
    if (!route) return;
    announced.byId.delete(channelId);
    announced.fresh?.delete(channelId);
    this.#remove(route);
  }

  /** Starts a complete announcement. The previous interest stays valid until `complete`. */
  begin(sibling: S): void {
    this.#of(sibling).fresh = new Set();
  }

  /** Ends a complete announcement: channels that were not announced since `begin` are dropped. */
  complete(sibling: S): void {
    const announced = this.#of(sibling);
    const { byId, fresh } = announced;
    announced.fresh = null;
    if (!fresh || fresh.size === byId.size) return; // nothing else was announced before
    for (const [channelId, route] of byId) {
      if (fresh.has(channelId)) continue;
      byId.delete(channelId);
      this.#remove(route);
    }
  }

  setMembers(sibling: S, channelId: number, members: number): void {
    const route = this.#announced.get(sibling)?.byId.get(channelId);
    if (route) route.members = members;
  }

  /** Removes a sibling, or a closed link, and its interest. */
  forget(sibling: S): void {
    const announced = this.#announced.get(sibling);
    if (!announced) return;
    this.#announced.delete(sibling);
    for (const route of announced.byId.values()) this.#remove(route);
  }

  #of(sibling: S): Announced<S> {
    let announced = this.#announced.get(sibling);
    if (!announced) {
      announced = { byId: new Map(), fresh: null };
      this.#announced.set(sibling, announced);
    }
    return announced;
  }

  #remove(route: Route<S>): void {
    const routes = this.#byName.get(route.name);
    if (!routes) return;
    const index = routes.indexOf(route);
    if (index !== -1) routes.splice(index, 1);
    if (routes.length === 0) this.#byName.delete(route.name);
  }
}

/** Number of connections of all siblings on a channel, by their last reports. */
export function membersOf(routes: readonly Route<unknown>[]): number {
  let members = 0;
  for (const route of routes) members += route.members;
  return members;
}
