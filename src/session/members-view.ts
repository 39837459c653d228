/**
 * The messages about other members to a client with `presence=true`: the list of its members needs the option `presence`, joins and
 * leaves need `joinLeave`. With both the changes follow the list without a gap or a repetition.
 */
import type { PresenceList, PresentMember } from '../channel/member.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import type { Hub } from '../hub.ts';

/** Most members in a list, the client included. */
export const maxListedMembers = 1_000;

export class MembersView {
  readonly #hub: Hub;
  readonly #name: string;
  readonly #options: ChannelOptions;
  #list: PresenceList | null = null;
  #endWatch: (() => void) | null = null;

  constructor(hub: Hub, name: string, options: ChannelOptions) {
    this.#hub = hub;
    this.#name = name;
    this.#options = options;
  }

  /** @param ready called when the members are known; not called if the broker does not answer */
  prepare(ready: () => void): void {
    if (this.#options.joinLeave) {
      this.#endWatch = this.#hub.watchMembers(this.#name, ready);
      return;
    }
    this.#hub.presence(this.#name, maxListedMembers).then(
      (list) => {
        this.#list = list;
        ready();
      },
      () => undefined, // the deadline of the join follows
    );
  }

  /** Returns the members without the client; null: they are not told. */
  others(): PresenceList | null {
    if (!this.#options.presence) return null;
    if (!this.#options.joinLeave) return this.#list;
    const known = this.#hub.membersOf(this.#name);
    const members: PresentMember[] = [];
    for (const member of known.values()) if (members.push(member) === maxListedMembers) break;
    return { members, truncated: members.length < known.size };
  }

  /** Ends the view, when the client has joined or was refused. */
  end(): void {
    this.#endWatch?.();
    this.#endWatch = null;
  }
}
