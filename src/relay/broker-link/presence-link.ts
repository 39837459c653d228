/**
 * The part of the link to the broker that is about members of channels. It promises:
 *
 * - The broker knows the members of this worker, whatever becomes of links and brokers: they are told again over each link.
 * - Where handlers of the user handle joins and leaves, the broker gets each of them until a worker has handled it.
 * - After the call of `ready`, `membersOf` returns the members of a watched channel, and each change is passed on as an
 *   event, once. Changes that were missed without a link follow over the next one.
 */
import type { MemberEvent, PresenceList, PresenceStats, PresentMember } from '../../channel/member.ts';
import { FrameError } from '../mesh/frame-decoder.ts';
import { enterFlags, frameTypes, memberEventKinds } from './frame.ts';
import type { Fields } from './frame-reader.ts';
import type { FrameWriter } from './frame-writer.ts';

export interface PresenceLinkOptions {
  /** Writes frames to an open link; does nothing without one. */
  send: (write: (out: FrameWriter) => void) => void;
  /** Writes the frames of this turn at once. */
  flush: () => void;
  /** A member of a watched channel has joined or left. */
  event: (channel: string, event: MemberEvent) => void;
  /** Handles an event for the whole hub; null: the user has no handlers for joins and leaves. */
  handle: ((event: HandledEvent, done: () => void) => void) | null;
}

/** A join or leave for the handlers of the user. */
export interface HandledEvent {
  readonly kind: keyof typeof memberEventKinds;
  /** identifies the member; the same if the event is handled again */
  readonly id: string;
  readonly channel: string;
  /** the first or last member, if the channel was occupied or vacated */
  readonly member: PresentMember;
}

/** A member of this worker. */
interface OwnMember {
  readonly channel: string;
  readonly member: PresentMember;
  /** its join was handled */
  isKnown: boolean;
  /** it has left, and its leave was not handled yet */
  isGone: boolean;
}

export interface MembersAnswer extends PresenceList {
  readonly stats: PresenceStats;
}

interface Watch {
  readonly id: number;
  readonly channel: string;
  /** number of `watch` calls without an `unwatch` */
  users: number;
  /** by connection id; null: the broker has not answered yet */
  members: Map<string, PresentMember> | null;
  /** a list of which the end has not been received */
  next: Map<string, PresentMember>;
  /** the broker has answered over the current link */
  isLive: boolean;
  readonly waiting: Set<() => void>;
}

/** A request that is sent again over a new link. */
interface Request {
  ask: (out: FrameWriter) => void;
  members: PresentMember[];
  /** @param answer null: no answer in time */
  done: (answer: MembersAnswer | null) => void;
  deadline: NodeJS.Timeout;
}

const requestTimeoutMs = 5_000;
/** Most members that have left and wait for a broker, so that their leaves can be handled. The oldest are dropped. */
const maxGone = 100_000;
const kinds = new Map(
  Object.entries(memberEventKinds).map(([kind, code]) => [code, kind as HandledEvent['kind']]),
);

export class PresenceLink {
  readonly #options: PresenceLinkOptions;
  /** members of this worker */
  readonly #own = new Map<number, OwnMember>();
  /** members that have left and are in `#own`, oldest first */
  readonly #gone = new Set<number>();
  /** counts links, because the numbers of events belong to one */
  #link = 0;
  #isUp = false;
  #handles = false;
  readonly #watches = new Map<string, Watch>();
  readonly #byId = new Map<number, Watch>();
  readonly #requests = new Map<number, Request>();
  /** of members, watches and requests */
  #lastId = 0;

  constructor(options: PresenceLinkOptions) {
    this.#options = options;
  }

  /**
   * A client of this worker is on a channel. The broker has been told when this returns, so that nobody who asks it later
   * misses the member.
   * @returns the number of the member, for `leave`
   */
  enter(channel: string, member: PresentMember): number {
    const id = ++this.#lastId;
    const own = { channel, member, isKnown: false, isGone: false };
    this.#own.set(id, own);
    this.#options.send((out) => {
      out.enter(id, this.#flagsOf(own), channel, member);
    });
    this.#options.flush();
    return id;
  }

  leave(id: number): void {
    const own = this.#own.get(id);
    if (!own || own.isGone) return;
    if (this.#options.handle) {
      own.isGone = true;
      this.#gone.add(id);
      const [oldest] = this.#gone;
      if (this.#gone.size > maxGone && oldest !== undefined) this.#forget(oldest);
    } else {
      this.#own.delete(id);
    }
    this.#options.send((out) => {
      out.leave(id);
    });
  }

  /**
   * Watches the members of a channel until `unwatch`.
   * @param ready called when the members are known, at once if they are
   */
  watch(channel: string, ready: () => void): void {
    let watch = this.#watches.get(channel);
    if (!watch) watch = this.#add(channel);
    watch.users += 1;
    if (watch.isLive) ready();
    else watch.waiting.add(ready);
  }

  /** Ends one `watch`, whose `ready` is not called any longer. */
  unwatch(channel: string, ready: () => void): void {
    const watch = this.#watches.get(channel);
    if (!watch) return;
    watch.waiting.delete(ready);
    watch.users -= 1;
    if (watch.users > 0) return;
    this.#watches.delete(channel);
    this.#byId.delete(watch.id);
    this.#options.send((out) => {
      out.unwatch(watch.id);
    });
  }

  /** Returns the members of a watched channel, as far as they are known. */
  membersOf(channel: string): ReadonlyMap<string, PresentMember> {
    return this.#watches.get(channel)?.members ?? new Map<string, PresentMember>();
  }

  /**
   * Asks the broker for members of a channel, and for their number.
   * @param done called with the answer; null: the broker did not answer in time
   */
  members(channel: string, limit: number, done: (answer: MembersAnswer | null) => void): void {
    const id = ++this.#lastId;
    const ask = (out: FrameWriter) => {
      out.members(id, limit, channel);
    };
    const deadline = setTimeout(() => {
      this.#requests.delete(id);
      done(null);
    }, requestTimeoutMs);
    this.#requests.set(id, { ask, members: [], done, deadline });
    this.#options.send(ask);
  }

  /** This worker handles events of the whole hub from now on. */
  beginHandling(): void {
    if (!this.#options.handle) return;
    this.#handles = true;
    this.#options.send((out) => {
      out.handles(true);
    });
  }

  /** Resolves when no further event comes. */
  async endHandling(): Promise<void> {
    if (!this.#handles) return;
    this.#handles = false;
    this.#options.send((out) => {
      out.handles(false);
    });
    // The answers of the broker come in order: behind this one there is no event.
    await new Promise((resolve) => {
      this.members('', 0, resolve);
    });
  }

  /** Number of members that have left and whose leave was not handled yet; 0 without a link. */
  get unhandled(): number {
    return this.#isUp ? this.#gone.size : 0;
  }

  /** Tells a new link everything. */
  opened(out: FrameWriter): void {
    this.#isUp = true;
    for (const [id, own] of this.#own) out.enter(id, this.#flagsOf(own), own.channel, own.member);
    for (const id of this.#gone) out.leave(id);
    out.told();
    if (this.#handles) out.handles(true);
    for (const { id, channel } of this.#watches.values()) out.watch(id, channel);
    for (const { ask } of this.#requests.values()) ask(out);
  }

  /** The link has closed. */
  down(): void {
    this.#isUp = false;
    this.#link += 1;
    for (const watch of this.#watches.values()) {
      watch.isLive = false;
      watch.next = new Map();
    }
    for (const request of this.#requests.values()) request.members = [];
  }

  /** There will be no other link. */
  close(): void {
    for (const { done, deadline } of this.#requests.values()) {
      clearTimeout(deadline);
      done(null);
    }
    this.#requests.clear();
  }

  /** Handles a frame of the broker. @throws {FrameError} it is unknown */
  frame(type: number, fields: Fields): void {
    const id = fields.u48();
    const watch = this.#byId.get(id);
    switch (type) {
      case frameTypes.member: {
        const member = fields.member();
        if (watch) watch.next.set(member.connectionId, member);
        else this.#requests.get(id)?.members.push(member);
        break;
      }
      case frameTypes.watched:
        if (watch) this.#listed(watch);
        break;
      case frameTypes.counted:
        this.#counted(id, { connections: fields.u32(), users: fields.u32() });
        break;
      case frameTypes.joined:
        if (watch) this.#changed(watch, { kind: 'joined', member: fields.member() });
        break;
      case frameTypes.left: {
        const member = watch?.members?.get(fields.restText('latin1'));
        if (watch && member) this.#changed(watch, { kind: 'left', member });
        break;
      }
      case frameTypes.event:
        this.#handle(id, fields);
        break;
      case frameTypes.settled:
        this.#settled(id, fields.u8());
        break;
      default:
        throw new FrameError(`frame type ${type} is unknown`);
    }
  }

  #flagsOf({ isKnown }: OwnMember): number {
    return (this.#options.handle ? enterFlags.events : 0) | (isKnown ? enterFlags.known : 0);
  }

  #handle(number: number, fields: Fields): void {
    const link = this.#link;
    const kind = kinds.get(fields.u8() as (typeof memberEventKinds)[HandledEvent['kind']]);
    const [id, channel, member] = [fields.text8('latin1'), fields.text8('utf8'), fields.member()];
    const done = () => {
      if (link !== this.#link) return; // it is sent again over the present link
      this.#options.send((out) => {
        out.handled(number);
      });
    };
    if (kind && this.#options.handle) this.#options.handle({ kind, id, channel, member }, done);
    else done();
  }

  #settled(id: number, kind: number): void {
    const own = this.#own.get(id);
    if (own && kind === memberEventKinds.joined) own.isKnown = true;
    if (own && kind === memberEventKinds.left) this.#forget(id);
  }

  #forget(id: number): void {
    this.#gone.delete(id);
    this.#own.delete(id);
  }

  #add(channel: string): Watch {
    const watch: Watch = {
      id: ++this.#lastId,
      channel,
      users: 0,
      members: null,
      next: new Map(),
      isLive: false,
      waiting: new Set(),
    };
    this.#watches.set(channel, watch);
    this.#byId.set(watch.id, watch);
    this.#options.send((out) => {
      out.watch(watch.id, channel);
    });
    return watch;
  }

  /** A list replaces the known members; the differences are events. */
  #listed(watch: Watch): void {
    const { channel, members: before, next } = watch;
    const { event } = this.#options;
    watch.members = next;
    watch.next = new Map();
    watch.isLive = true;
    if (before) {
      for (const [id, member] of before) if (!next.has(id)) event(channel, { kind: 'left', member });
      for (const [id, member] of next) if (!before.has(id)) event(channel, { kind: 'joined', member });
    }
    const waiting = [...watch.waiting];
    watch.waiting.clear();
    for (const ready of waiting) ready();
  }

  #changed({ channel, members }: Watch, event: MemberEvent): void {
    const { kind, member } = event;
    if (kind === 'joined') members?.set(member.connectionId, member);
    else members?.delete(member.connectionId);
    this.#options.event(channel, event);
  }

  #counted(id: number, stats: PresenceStats): void {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    clearTimeout(request.deadline);
    const { members } = request;
    request.done({ members, truncated: members.length < stats.connections, stats });
  }
}
