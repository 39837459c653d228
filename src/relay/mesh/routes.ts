/**
 * Which siblings listen to a channel: the interest that each has announced on its link. Dry: a sibling is
 * whatever the caller uses as one, and it is compared by identity only.
 */

export interface Route<S> {
  readonly sibling: S;
  /** the sibling's own number for the channel */
  readonly channelId: number;
  readonly name: string;
  /** the sibling's connections on it, as it last said */
  members: number;
  /** when the last publication left, or is to leave; only the mesh changes it */
  dueAt: number;
}

/** What one sibling has announced. */
interface Announced<S> {
  readonly byId: Map<number, Route<S>>;
  /** numbers seen since `begin`, until `complete`; null outside a complete announcement */
  fresh: Set<number> | null;
}

export class Routes<S> {
  readonly #byName = new Map<string, Route<S>[]>();
  readonly #announced = new Map<S, Announced<S>>();

  /** The siblings that listen to a channel. */
  to(name: string): readonly Route<S>[] | undefined {
    return this.#byName.get(name);
  }

  /** Number of channels that some sibling listens to. */
  get size(): number {
    return this.#byName.size;
  }

  entries(): MapIterator<[string, readonly Route<S>[]]> {
    return this.#byName.entries();
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

  /** The channel's name; undefined if the sibling has not announced it. */
  nameOf(sibling: S, channelId: number): string | undefined {
    return this.#announced.get(sibling)?.byId.get(channelId)?.name;
  }

  drop(sibling: S, channelId: number): void {
    const announced = this.#of(sibling);
    const route = announced.byId.get(channelId);
    if (!route) return;
    announced.byId.delete(channelId);
    this.#remove(route);
  }

  /** The sibling's complete interest follows; what it announced before stays in force until `complete`. */
  begin(sibling: S): void {
    this.#of(sibling).fresh = new Set();
  }

  /** Ends what `begin` began: channels that were not named since are dropped. */
  complete(sibling: S): void {
    const announced = this.#of(sibling);
    if (!announced.fresh) return;
    for (const [channelId, route] of announced.byId) {
      if (announced.fresh.has(channelId)) continue;
      announced.byId.delete(channelId);
      this.#remove(route);
    }
    announced.fresh = null;
  }

  setMembers(sibling: S, channelId: number, members: number): void {
    const route = this.#announced.get(sibling)?.byId.get(channelId);
    if (route) route.members = members;
  }

  /** The sibling or its link is gone, and its interest with it. */
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

/** Connections of all siblings on a channel, as they last said. */
export function membersOf(routes: readonly Route<unknown>[]): number {
  let members = 0;
  for (const route of routes) members += route.members;
  return members;
}
