/**
 * The members of channels, as the workers tell them: an entry belongs to the link of its worker and ends with it, so a
 * worker that dies takes its members along, and each of them leaves once.
 *
 * A worker that watches a channel gets its members, then every change, in order. It compares a later list with the members
 * that it knows. So a worker that missed changes, because its link was slow or the broker was replaced, just gets a new
 * list. A broker that replaces another one sends no list until every worker of before has told its members or is gone:
 * the replacement is no reason for anybody to join or leave.
 */
import type { PresentMember } from '../channel/member.ts';
import type { BrokerCounters } from '../metrics/broker-metrics.ts';
import { enterFlags } from '../relay/broker-link/frame.ts';
import type { WorkerLink } from './deliveries.ts';
import { MemberEvents, type EventOwner, type MemberEventKind } from './member-events.ts';

export interface PresenceOptions {
  /** workers that were linked to the broker of before */
  expected: readonly string[];
  /** requests a flush of the links */
  wake: () => void;
  /** most bytes that may wait for one worker before it misses changes */
  maxBufferedBytes: number;
  counters: BrokerCounters;
}

interface Entry {
  readonly member: PresentMember;
  readonly channel: ChannelMembers;
  readonly owner: EventOwner;
  /** see `enterFlags` */
  readonly flags: number;
}

/** A change before all workers have told their members. */
interface EarlyChange {
  readonly kind: 'joined' | 'left';
  readonly entry: Entry;
}

interface Watch {
  readonly id: number;
  readonly link: WorkerLink;
  readonly channel: ChannelMembers;
  /** the worker has missed changes, or has had no list yet */
  isStale: boolean;
}

interface ChannelMembers {
  readonly name: string;
  /** by connection id */
  readonly members: Map<string, Entry>;
  /** connections by user */
  readonly users: Map<string, number>;
  readonly watches: Set<Watch>;
}

/** The members that a worker has reported over its link. */
interface Told {
  /** by the number of the member in the worker */
  readonly entries: Map<number, Entry>;
  /** by the number of the watch in the worker */
  readonly watches: Map<number, Watch>;
}

/** How long a broker waits for the workers of before: one that hangs is killed within this time. */
const settleMs = 12_000;

export class Presence {
  /** for the handlers of the user */
  readonly events: MemberEvents;
  readonly #options: PresenceOptions;
  readonly #channels = new Map<string, ChannelMembers>();
  readonly #links = new Map<WorkerLink, Told>();
  /** workers of before that have not told their members yet */
  readonly #expected: Set<string>;
  /** requests that wait for these workers */
  #waiting: (() => void)[] = [];
  #early: EarlyChange[] = [];
  readonly #deadline: NodeJS.Timeout | undefined;
  #entries = 0;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.events = new MemberEvents(options.counters, options.wake);
    this.#expected = new Set(options.expected);
    if (this.#expected.size > 0) {
      this.#deadline = setTimeout(() => {
        this.#expected.clear();
        this.#settle();
      }, settleMs);
    }
  }

  /** Number of members of all channels. */
  get entries(): number {
    return this.#entries;
  }

  /** @param flags see `enterFlags` */
  enter(link: WorkerLink, number: number, flags: number, name: string, member: PresentMember): void {
    const channel = this.#channel(name);
    const before = channel.members.get(member.connectionId);
    const entry: Entry = { member, channel, owner: { link, number }, flags };
    this.#toldOf(link).entries.set(number, entry);
    channel.members.set(member.connectionId, entry);
    if (before) count(channel.users, before.member.user, -1);
    else this.#entries += 1;
    count(channel.users, member.user, 1);
    if (!this.#isSettled) {
      this.#early.push({ kind: 'joined', entry });
      return;
    }
    if (before) {
      if (handlesEvents(entry)) link.socket.out.settled(number, 'joined');
      return;
    }
    if (channel.members.size === 1) this.#handle('occupied', entry);
    this.#handle('joined', entry);
    this.#options.counters.presenceEvents.joined += 1;
    this.#announce(channel, (watch) => {
      watch.link.socket.out.joined(watch.id, member);
    });
  }

  leave(link: WorkerLink, number: number): void {
    const told = this.#links.get(link);
    const entry = told?.entries.get(number);
    if (!told || !entry) return;
    told.entries.delete(number);
    this.#left(entry);
  }

  /** The worker has told all its members. */
  told({ workerId }: WorkerLink): void {
    this.gone(workerId);
  }

  /** The worker has ended. */
  gone(workerId: string): void {
    if (this.#expected.delete(workerId)) this.#settle();
  }

  watch(link: WorkerLink, id: number, name: string): void {
    const channel = this.#channel(name);
    const watch: Watch = { id, link, channel, isStale: true };
    this.#toldOf(link).watches.set(id, watch);
    channel.watches.add(watch);
    if (this.#isSettled) this.#sendList(watch);
  }

  unwatch(link: WorkerLink, id: number): void {
    const told = this.#links.get(link);
    const watch = told?.watches.get(id);
    if (!told || !watch) return;
    told.watches.delete(id);
    watch.channel.watches.delete(watch);
    this.#forgetUnused(watch.channel);
  }

  /** Answers with the first `limit` members and the number of all. */
  list(link: WorkerLink, request: number, limit: number, name: string): void {
    if (!this.#isSettled) {
      this.#waiting.push(() => {
        if (!link.isClosed) this.list(link, request, limit, name);
      });
      return;
    }
    const channel = this.#channels.get(name);
    const { out } = link.socket;
    let sent = 0;
    for (const { member } of channel?.members.values() ?? []) {
      if (sent === limit) break;
      sent += 1;
      out.member(request, member);
    }
    out.counted(request, { connections: channel?.members.size ?? 0, users: channel?.users.size ?? 0 });
    this.#options.wake();
  }

  /** Sends lists to a worker that has missed changes and has read its link. */
  drained(link: WorkerLink): void {
    if (!this.#isSettled) return;
    for (const watch of this.#links.get(link)?.watches.values() ?? []) {
      if (watch.isStale && !this.#isBehind(link)) this.#sendList(watch);
    }
  }

  closed(link: WorkerLink): void {
    const told = this.#links.get(link);
    this.#links.delete(link);
    for (const watch of told?.watches.values() ?? []) watch.channel.watches.delete(watch);
    for (const entry of told?.entries.values() ?? []) this.#left(entry);
    this.events.closed(link); // a worker without members may handle events too
    if (!told) return;
    for (const { channel } of told.watches.values()) this.#forgetUnused(channel);
  }

  close(): void {
    clearTimeout(this.#deadline);
  }

  get #isSettled(): boolean {
    return this.#expected.size === 0;
  }

  #settle(): void {
    if (!this.#isSettled) return;
    clearTimeout(this.#deadline);
    this.#handleEarly();
    for (const { watches } of this.#links.values()) {
      for (const watch of watches.values()) this.#sendList(watch);
    }
    for (const answer of this.#waiting.splice(0)) answer();
  }

  /** Passes the changes of the time without a broker to the handlers: joins, then leaves. */
  #handleEarly(): void {
    const changes = this.#early.splice(0);
    const isKnown = ({ flags }: Entry) => (flags & enterFlags.known) !== 0;
    const occupied = new Set(changes.filter(({ entry }) => isKnown(entry)).map(({ entry }) => entry.channel));
    for (const { kind, entry } of changes) {
      if (kind === 'left' || isKnown(entry)) continue;
      if (!occupied.has(entry.channel)) this.#handle('occupied', entry);
      occupied.add(entry.channel);
      this.#handle('joined', entry);
    }
    const vacated = new Set<ChannelMembers>();
    for (const { kind, entry } of changes) if (kind === 'left') this.#handle('left', entry);
    for (const { kind, entry } of changes.toReversed()) {
      const { channel } = entry;
      if (kind === 'joined' || channel.members.size > 0 || vacated.has(channel)) continue;
      vacated.add(channel);
      this.#handle('vacated', entry);
    }
  }

  #handle(kind: MemberEventKind, entry: Entry): void {
    if (!handlesEvents(entry)) return;
    const { channel, member, owner } = entry;
    this.events.add(kind, channel.name, member, owner);
  }

  #left(entry: Entry): void {
    const { channel, member, owner } = entry;
    const { connectionId, user } = member;
    // An entry that was replaced by a later one of the same connection ends silently.
    if (channel.members.get(connectionId) !== entry) {
      if (handlesEvents(entry) && !owner.link.isClosed) owner.link.socket.out.settled(owner.number, 'left');
      return;
    }
    channel.members.delete(connectionId);
    this.#entries -= 1;
    count(channel.users, user, -1);
    if (this.#isSettled) {
      this.#handle('left', entry);
      if (channel.members.size === 0) this.#handle('vacated', entry);
      this.#options.counters.presenceEvents.left += 1;
      this.#announce(channel, (watch) => {
        watch.link.socket.out.left(watch.id, connectionId);
      });
    } else {
      this.#early.push({ kind: 'left', entry });
    }
    this.#forgetUnused(channel);
  }

  #announce({ watches }: ChannelMembers, write: (watch: Watch) => void): void {
    if (watches.size === 0) return;
    for (const watch of watches) {
      if (watch.isStale) continue;
      if (this.#isBehind(watch.link)) watch.isStale = true;
      else write(watch);
    }
    this.#options.wake();
  }

  #sendList(watch: Watch): void {
    const { out } = watch.link.socket;
    for (const { member } of watch.channel.members.values()) out.member(watch.id, member);
    out.watched(watch.id);
    watch.isStale = false;
    this.#options.wake();
  }

  #isBehind({ socket }: WorkerLink): boolean {
    return socket.bufferedBytes > this.#options.maxBufferedBytes;
  }

  #toldOf(link: WorkerLink): Told {
    let told = this.#links.get(link);
    if (!told) this.#links.set(link, (told = { entries: new Map(), watches: new Map() }));
    return told;
  }

  #channel(name: string): ChannelMembers {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = { name, members: new Map(), users: new Map(), watches: new Set() };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  #forgetUnused(channel: ChannelMembers): void {
    if (channel.members.size > 0 || channel.watches.size > 0) return;
    if (this.#channels.get(channel.name) === channel) this.#channels.delete(channel.name);
  }
}

function handlesEvents({ flags }: Entry): boolean {
  return (flags & enterFlags.events) !== 0;
}

function count(users: Map<string, number>, user: string, change: number): void {
  if (user === '') return;
  const connections = (users.get(user) ?? 0) + change;
  if (connections > 0) users.set(user, connections);
  else users.delete(user);
}
