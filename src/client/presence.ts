/**
 * Presence in this worker: tells the broker which clients are on which channels, and passes joins and leaves on to the
 * clients that want them. The changes of one turn of the event loop are written to each client together, so that the end of
 * a worker with many members costs one write per client.
 */
import type { MemberEvent, PresenceList, PresenceStats, PresentMember } from '../channel/member.ts';
import { maxMemberTextBytes } from '../channel/member.ts';
import { HubError } from '../platform/errors.ts';
import type { Protocol } from '../protocol/protocol.ts';
import type { PresenceLink } from '../relay/broker-link/presence-link.ts';
import type { Client, Subscription } from './client.ts';

export interface LocalPresenceOptions {
  link: PresenceLink;
  /** Requests a call of `flush` at the end of this turn. */
  wake: () => void;
  /** Writes the waiting publications of the channels of the client. */
  catchUp: (client: Client) => void;
}

const nothing = () => undefined;

export class LocalPresence {
  readonly #options: LocalPresenceOptions;
  /** subscriptions that are told of joins and leaves, by channel */
  readonly #audience = new Map<string, Set<Subscription>>();
  /** changes of this turn, by channel */
  readonly #changes = new Map<string, MemberEvent[]>();

  constructor(options: LocalPresenceOptions) {
    this.#options = options;
  }

  /** A subscription has begun. It is told of changes from now on. */
  entered(subscription: Subscription, member: PresentMember): void {
    const { name } = subscription.channel;
    const { link } = this.#options;
    subscription.member = { ...member, number: link.enter(name, member) };
    if (subscription.memberEvents === 'none') return;
    this.#write(name); // the changes so far are not for this subscription
    link.watch(name, nothing);
    const audience = this.#audience.get(name);
    if (audience) audience.add(subscription);
    else this.#audience.set(name, new Set([subscription]));
  }

  /** A subscription has ended. */
  left(subscription: Subscription): void {
    const { member, channel, memberEvents } = subscription;
    if (member === null) return;
    subscription.member = null;
    this.#options.link.leave(member.number);
    if (memberEvents === 'none') return;
    this.#options.link.unwatch(channel.name, nothing);
    const audience = this.#audience.get(channel.name);
    audience?.delete(subscription);
    if (audience?.size === 0) this.#audience.delete(channel.name);
  }

  /** A member of a watched channel, on any worker, has joined or left. */
  changed(channel: string, event: MemberEvent): void {
    if (!this.#audience.has(channel)) return;
    const changes = this.#changes.get(channel);
    if (changes) changes.push(event);
    else this.#changes.set(channel, [event]);
    this.#options.wake();
  }

  /** Writes the changes of this turn. */
  flush(): void {
    for (const channel of this.#changes.keys()) this.#write(channel);
  }

  /**
   * Keeps the members of a channel known to this worker until the returned function is called.
   * @param ready called when they are known, at once if they are
   */
  watch(channel: string, ready: () => void): () => void {
    const { link } = this.#options;
    link.watch(channel, ready);
    return () => {
      link.unwatch(channel, ready);
    };
  }

  /** Returns the members of a watched channel. */
  membersOf(channel: string): ReadonlyMap<string, PresentMember> {
    return this.#options.link.membersOf(channel);
  }

  /** @throws {HubError} `unavailable`, as a rejection: the broker did not answer in time */
  list(channel: string, limit: number): Promise<PresenceList & { readonly stats: PresenceStats }> {
    return new Promise((resolve, reject) => {
      this.#options.link.members(channel, limit, (answer) => {
        if (answer) resolve(answer);
        else reject(new HubError('unavailable', 'the broker did not answer in time'));
      });
    });
  }

  #write(channel: string): void {
    const changes = this.#changes.get(channel);
    if (!changes) return;
    this.#changes.delete(channel);
    const joined = new Set(changes.filter(({ kind }) => kind === 'joined').map(idOf));
    const encoded = new Map<Protocol, Encoded>();
    for (const { client, memberEvents } of this.#audience.get(channel) ?? []) {
      if (memberEvents === 'others' && joined.has(client.id)) {
        const others = changes.filter((event) => idOf(event) !== client.id);
        this.#writeTo(client, encode(client.protocol, channel, others));
        continue;
      }
      let parts = encoded.get(client.protocol);
      if (!parts) encoded.set(client.protocol, (parts = encode(client.protocol, channel, changes)));
      this.#writeTo(client, parts);
    }
  }

  /** The messages of a member precede the notice that it has left. */
  #writeTo(client: Client, [joins, rest]: Encoded): void {
    if (joins) client.write(joins);
    if (!rest) return;
    this.#options.catchUp(client);
    client.write(rest);
  }
}

/** Returns the data of a member. Texts that are too long are left out. */
export function memberOf(
  { id, user, grant }: Client,
  { info, channelInfo = '' }: { info?: string | undefined; channelInfo?: string | undefined },
): PresentMember {
  const claimed = grant?.claims['info'];
  return {
    connectionId: id,
    user: short(user ?? ''),
    info: short(info ?? (claimed === undefined ? '' : JSON.stringify(claimed))),
    channelInfo: short(channelInfo),
  };
}

function short(text: string): string {
  return Buffer.byteLength(text) > maxMemberTextBytes ? '' : text;
}

function idOf({ member }: MemberEvent): string {
  return member.connectionId;
}

/** The joins before the first leave, and everything after them; null: nothing. */
type Encoded = readonly [Buffer | null, Buffer | null];

function encode(protocol: Protocol, channel: string, changes: readonly MemberEvent[]): Encoded {
  const firstLeave = changes.findIndex(({ kind }) => kind === 'left');
  const split = firstLeave === -1 ? changes.length : firstLeave;
  const encoded = (part: readonly MemberEvent[]) =>
    part.length === 0 ? null : Buffer.concat(part.map(({ kind, member }) => protocol[kind](channel, member)));
  return [encoded(changes.slice(0, split)), encoded(changes.slice(split))];
}
