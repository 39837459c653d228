/**
 * Presence in this worker: tells the broker which clients are on which channels, and passes joins and leaves on to the
 * clients that want them. The changes of one turn of the event loop are written to each client together, so that the end of
 * a worker with many members costs one write per client. Those of a large audience wait up to a second behind a write, so
 * that many joins do not occupy the event loop; a publication of a channel with history ends the wait.
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

/** Clients of a channel on this worker that are told of changes. */
interface Audience {
  readonly subscriptions: Set<Subscription>;
  /** when the last changes were written, in milliseconds of the monotonic clock */
  wroteAt: number;
}

/** Changes of a channel that were not written yet. */
interface Changes {
  readonly events: MemberEvent[];
  /** subscriptions that began meanwhile: the index of the first change after their list */
  readonly starts: Map<Subscription, number>;
}

/** An audience of up to this size is told of changes at the end of the turn. */
const smallAudience = 64;
/** A write takes about 10 µs, so that joins take a tenth of the event loop at most. */
const windowMsPerClient = 0.1;
const maxWindowMs = 1_000;
const nothing = () => undefined;

export class LocalPresence {
  readonly #options: LocalPresenceOptions;
  /** subscriptions that are told of joins and leaves, by channel */
  readonly #audience = new Map<string, Audience>();
  /** changes that were not written yet, by channel */
  readonly #changes = new Map<string, Changes>();

  constructor(options: LocalPresenceOptions) {
    this.#options = options;
  }

  /** A subscription has begun. It is told of changes from now on. */
  entered(subscription: Subscription, member: PresentMember): void {
    const { name } = subscription.channel;
    const { link } = this.#options;
    subscription.member = { ...member, number: link.enter(name, member) };
    if (subscription.memberEvents === 'none') return;
    const changes = this.#changes.get(name);
    changes?.starts.set(subscription, changes.events.length);
    link.watch(name, nothing);
    const audience = this.#audience.get(name);
    if (audience) audience.subscriptions.add(subscription);
    else this.#audience.set(name, { subscriptions: new Set([subscription]), wroteAt: -Infinity });
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
    audience?.subscriptions.delete(subscription);
    this.#changes.get(channel.name)?.starts.delete(subscription);
    if (audience?.subscriptions.size === 0) this.#audience.delete(channel.name);
  }

  /** A member of a watched channel, on any worker, has joined or left. */
  changed(channel: string, event: MemberEvent): void {
    if (!this.#audience.has(channel)) return;
    const changes = this.#changes.get(channel);
    if (changes) changes.events.push(event);
    else this.#changes.set(channel, { events: [event], starts: new Map() });
    this.#options.wake();
  }

  /**
   * Writes the changes that are due.
   * @param now `Infinity`: all
   * @returns milliseconds until the next call is due; `Infinity`: nothing waits
   */
  flush(now: number): number {
    if (this.#changes.size === 0) return Infinity;
    let wait = Infinity;
    for (const channel of this.#changes.keys()) {
      const audience = this.#audience.get(channel);
      const dueAt = audience ? audience.wroteAt + windowOf(audience) : -Infinity;
      if (now >= dueAt) this.#write(channel);
      else wait = Math.min(wait, dueAt - now);
    }
    return wait;
  }

  /** A publication of a channel with history follows: the changes before it are written. */
  precede(channel: string): void {
    if (this.#changes.size > 0) this.#write(channel);
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
    const audience = this.#audience.get(channel);
    if (!audience) return;
    audience.wroteAt = performance.now();
    const { events, starts } = changes;
    const joined = new Set(events.filter(({ kind }) => kind === 'joined').map(idOf));
    const byProtocol = new Map<Protocol, Encoding>();
    for (const subscription of audience.subscriptions) {
      const { client, memberEvents } = subscription;
      let encoding = byProtocol.get(client.protocol);
      if (!encoding) {
        encoding = new Encoding(client.protocol, channel, events);
        byProtocol.set(client.protocol, encoding);
      }
      const hidden = memberEvents === 'others' && joined.has(client.id) ? client.id : null;
      this.#writeTo(client, encoding.from(starts.get(subscription) ?? 0, hidden));
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

function windowOf({ subscriptions: { size } }: Audience): number {
  return size > smallAudience ? Math.min(size * windowMsPerClient, maxWindowMs) : 0;
}

function short(text: string): string {
  return Buffer.byteLength(text) > maxMemberTextBytes ? '' : text;
}

function idOf({ member }: MemberEvent): string {
  return member.connectionId;
}

/** The joins before the first leave, and everything after them; null: nothing. */
type Encoded = readonly [Buffer | null, Buffer | null];

/** Changes of a channel in one protocol: each is encoded once. */
class Encoding {
  readonly #events: readonly MemberEvent[];
  readonly #encoded: readonly Buffer[];
  #whole: Encoded | null = null;

  constructor(protocol: Protocol, channel: string, events: readonly MemberEvent[]) {
    this.#events = events;
    this.#encoded = events.map(({ kind, member }) => protocol[kind](channel, member));
  }

  /**
   * @param start index of the first change
   * @param hidden a connection whose join is left out; null: none
   */
  from(start: number, hidden: string | null): Encoded {
    return start === 0 && hidden === null ? (this.#whole ??= this.#join(0, null)) : this.#join(start, hidden);
  }

  #join(start: number, hidden: string | null): Encoded {
    const parts: [Buffer[], Buffer[]] = [[], []];
    let part = 0;
    for (let index = start; index < this.#events.length; index++) {
      const event = this.#events[index];
      const encoded = this.#encoded[index];
      if (!event || !encoded) continue;
      if (event.kind === 'left') part = 1;
      else if (idOf(event) === hidden) continue;
      parts[part]?.push(encoded);
    }
    const [joins, rest] = parts;
    return [concatenated(joins), concatenated(rest)];
  }
}

function concatenated(parts: readonly Buffer[]): Buffer | null {
  return parts.length === 0 ? null : Buffer.concat(parts);
}
