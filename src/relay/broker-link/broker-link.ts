/**
 * The link of a worker to the broker, which orders and keeps the publications of channels with history. It promises:
 *
 * - A publication that `publish` has accepted is stored once and in order while this process lives, even if the link
 *   closes or the broker dies: unacknowledged publications are sent again over the next link.
 * - After the call of `subscribed`, the worker gets every publication of the channel, once and in the order of
 *   offsets. Publications that it missed without a link are the first ones over the next link. If the broker no
 *   longer has them, `gap` is called.
 * - Answers and publications are passed on in the order in which the broker sent them, so the publications after a
 *   page follow its last message. Therefore answers use callbacks, not promises.
 *
 * Only reads have a deadline. Joins and publications wait while there is no broker. If too many bytes wait,
 * publications are refused with `unavailable`.
 */
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { backoffMs, jittered } from '../../platform/backoff.ts';
import { FlushScheduler } from '../../platform/flush-scheduler.ts';
import { HubError, messageOf } from '../../platform/errors.ts';
import type { MemberEvent } from '../../channel/member.ts';
import type { Log } from '../../platform/log.ts';
import type { Appended, Append, Page, Position, Range, Stored } from '../../engine/engine.ts';
import { FrameError } from '../mesh/frame-decoder.ts';
import {
  frameTypes,
  maxKeyBytes,
  maxMetaBytes,
  maxNumber,
  pageFlags,
  placedFlags,
  subscribedFlags,
} from './frame.ts';
import type { Fields } from './frame-reader.ts';
import { FrameSocket } from './frame-socket.ts';
import { PresenceLink, type PresenceLinkOptions } from './presence-link.ts';
import { MachinesLink } from './machines-link.ts';
import { UnacknowledgedQueue } from './unacknowledged.ts';

/**
 * A publication of a channel with history, as the broker delivers it. The buffers are views into the received chunk.
 */
export interface Delivery {
  readonly epoch: string;
  readonly offset: number;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  readonly payload: Buffer;
  /** see `Draft` */
  readonly meta: Buffer;
  /** the number of the sender, if it is on this worker; 0: it is not */
  readonly sender: number;
  /** when the hub read it, in seconds of clock.ts; 0: the publication is from the history */
  readonly readAt: number;
  /** its trace context; empty: not traced */
  readonly trace: Buffer;
}

/** A publication for the broker. The buffers must not change until it is acknowledged. */
export interface Draft {
  readonly payload: Buffer;
  /** data that is stored with the publication, such as the user of the sender; at most 65 535 bytes */
  readonly meta: Buffer;
  /** the idempotency key, at most 255 bytes; `''`: none */
  readonly key: string;
  /** the number of the sending subscription; 0: none */
  readonly sender: number;
  readonly readAt: number;
  readonly trace: Buffer;
}

export interface BrokerLinkEvents {
  publication(channel: string, delivery: Delivery): void;
  /** Publications of a subscribed channel up to `position` are lost for its subscribers. Later ones are delivered. */
  gap(channel: string, position: Position): void;
  /** A member of a watched channel has joined or left; see presence-link.ts. */
  member(channel: string, event: MemberEvent): void;
  /** Another machine has published to a channel without history; see machines-link.ts. */
  relayed(channel: string, payload: Buffer, trace: Buffer): void;
  /** The link is open, and subscriptions, unacknowledged publications and open requests have been sent. */
  up(): void;
  /**
   * Too many bytes wait for acknowledgement, so that publishers of channels with history should pause.
   * @param isCongested false: they may continue
   */
  congested(isCongested: boolean): void;
  /** The link has closed. Channels with history wait until `up`. */
  down(): void;
}

export interface BrokerLinkOptions {
  /** the broker's Unix socket */
  path: string;
  /** links between different hubs are refused */
  hubId: string;
  workerId: string;
  log: Log;
  events: BrokerLinkEvents;
  /** see PresenceLinkOptions */
  handleMembers?: PresenceLinkOptions['handle'];
  /** most bytes that may wait for acknowledgement */
  maxUnacknowledgedBytes?: number;
}

interface Subscription {
  readonly id: number;
  readonly channel: string;
  /** the last position that was received; null: the broker has not answered yet */
  position: { epoch: string; offset: number } | null;
  /** the broker has answered over the current link */
  isLive: boolean;
  readonly waiting: Set<(position: Position) => void>;
  /** pages whose top is after `position`; the publications up to it are not received yet */
  early: EarlyPage[];
}

interface EarlyPage extends Omit<Page, 'messages'> {
  /** of the request */
  readonly id: number;
}

/** A request that is sent again over a new link. */
interface Request {
  ask: (socket: FrameSocket) => void;
  /** the channel whose history is read; null: the answer has no order among the publications */
  channel: string | null;
  messages: Stored[];
  /** @param answer null: no answer in time */
  done: (answer: Page | null) => void;
  deadline: NodeJS.Timeout;
}

const nothing = () => undefined;
const retry = { firstMs: 20, maxMs: 1_000 };
const readTimeoutMs = 5_000;
const upTimeoutMs = 2_000;
/** Shares of the limit of unacknowledged bytes: publishers pause above `begin` and continue below `end`. */
const congestion = { begin: 1 / 8, end: 1 / 16 };
const defaultMaxUnacknowledgedBytes = 16 * 1024 * 1024;

export class BrokerLink {
  readonly presence: PresenceLink;
  readonly machines: MachinesLink;
  readonly #options: BrokerLinkOptions;
  readonly #maxBytes: number;
  /** identifies this process to the broker; random, so that no other process ever has the same */
  readonly #life = randomBytes(9).toString('base64url');
  readonly #scheduler: FlushScheduler;
  readonly #unacknowledged = new UnacknowledgedQueue();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #byId = new Map<number, Subscription>();
  readonly #requests = new Map<number, Request>();
  /** null: not linked. Takes frames after the welcome of the broker. */
  #socket: FrameSocket | null = null;
  #isUp = false;
  /** called when the link opens */
  readonly #whenUp = new Set<() => void>();
  #isCongested = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #lastAppend = 0;
  #lastChannel = 0;
  #lastRequest = 0;

  constructor(options: BrokerLinkOptions) {
    this.#options = options;
    this.#maxBytes = options.maxUnacknowledgedBytes ?? defaultMaxUnacknowledgedBytes;
    this.#scheduler = new FlushScheduler(() => {
      this.#socket?.flush();
      return Infinity;
    });
    this.presence = new PresenceLink({
      send: (write) => {
        this.#send(({ out }) => {
          write(out);
        });
      },
      flush: () => {
        if (this.#isUp) this.#socket?.flush();
      },
      event: (channel, event) => {
        options.events.member(channel, event);
      },
      handle: options.handleMembers ?? null,
    });
    this.machines = new MachinesLink({
      send: (write) => {
        this.#send(({ out }) => {
          write(out);
        });
      },
      isWritable: () => this.#isUp && (this.#socket?.bufferedBytes ?? Infinity) <= this.#maxBytes,
      away: () => {
        this.#failReads();
      },
      relayed: (channel, payload, trace) => {
        options.events.relayed(channel, payload, trace);
      },
    });
  }

  /** Opens the link, and a new one whenever it closes, until `close`. */
  open(): void {
    this.#dial();
  }

  /** Whether the link is open. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Calls `done` when the link is open, or after 2 s: a worker can serve channels without history before. */
  whenUp(done: () => void): void {
    if (this.#isUp) {
      done();
      return;
    }
    const call = () => {
      clearTimeout(deadline);
      if (this.#whenUp.delete(call)) done();
    };
    const deadline = setTimeout(call, upTimeoutMs);
    this.#whenUp.add(call);
  }

  /** Bytes of unacknowledged publications. */
  get unacknowledgedBytes(): number {
    return this.#unacknowledged.bytes;
  }

  /** Number of unacknowledged publications. */
  get unacknowledged(): number {
    return this.#unacknowledged.length;
  }

  /**
   * Publishes to a channel with history, at once or when a link is open.
   * @param placed called with the position; null: the sender does not need it
   * @throws {HubError} `unavailable`: too many bytes wait for the broker, or the engine is not reached
   * @throws {RangeError} the key or the meta is too long; nothing was sent
   */
  publish(channel: string, draft: Draft, placed: ((result: Appended) => void) | null = null): void {
    if (this.#unacknowledged.bytes > this.#maxBytes || this.#isClosed) throw new HubError('unavailable');
    if (this.machines.refuses) throw new HubError('unavailable', 'the engine is not reached; try again');
    const { payload, meta, key, sender, readAt, trace } = draft;
    if (Buffer.byteLength(key) > maxKeyBytes) throw new RangeError(`a key of more than ${maxKeyBytes} bytes`);
    if (meta.length > maxMetaBytes) throw new RangeError(`a meta of more than ${maxMetaBytes} bytes`);
    const number = ++this.#lastAppend;
    const append: Append = {
      channel,
      payload,
      meta,
      key,
      sender,
      readAt,
      trace,
      worker: this.#life,
      number,
    };
    this.#unacknowledged.push({ append, placed });
    if (!this.#isCongested && this.#unacknowledged.bytes > this.#maxBytes * congestion.begin)
      this.#congest(true);
    if (!this.#isUp) return; // sent with the next link
    this.#socket?.out.append(append, placed !== null);
    this.#scheduler.request();
  }

  /**
   * Subscribes to the publications of a channel.
   * @param subscribed called with the position after which publications are delivered; at once if it is known
   * @returns withdraws the call of `subscribed`
   */
  subscribe(channel: string, subscribed: (position: Position) => void): () => void {
    const found = this.#subscriptions.get(channel);
    if (found?.isLive && found.position) {
      subscribed({ ...found.position });
      return nothing;
    }
    const subscription = found ?? this.#add(channel);
    subscription.waiting.add(subscribed);
    if (!found)
      this.#send((socket) => {
        socket.out.subscribe(subscription.id, channel, null);
      });
    return () => {
      subscription.waiting.delete(subscribed);
    };
  }

  /** Ends the subscription. `subscribed` and `publication` are not called for it afterwards. */
  unsubscribe(channel: string): void {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    this.#subscriptions.delete(channel);
    this.#byId.delete(subscription.id);
    for (const { id, ...answer } of subscription.early) this.#settle(id, answer);
    this.#send((socket) => {
      socket.out.unsubscribe(subscription.id);
    });
  }

  /** Returns the position of the last publication of a subscribed channel; null: not known. */
  positionOf(channel: string): Position | null {
    const position = this.#subscriptions.get(channel)?.position;
    return position ? { ...position } : null;
  }

  /**
   * Reads the history of a channel. Publications that are delivered before `done` are at or before the top of the
   * page; those that are delivered later follow it. Any position is allowed: if no broker can have given it, the
   * answer is that of an unknown position.
   * @param done called with the page; null: the broker did not answer in time
   */
  history(channel: string, range: Range, done: (page: Page | null) => void): void {
    const wired = { ...range, since: range.since && wirePosition(range.since) };
    const ask = (id: number, socket: FrameSocket) => {
      socket.out.read(id, channel, wired);
    };
    this.#request(ask, range.page ? null : channel, done); // a page has no order among publications
  }

  /**
   * Removes the publications of a channel from the history.
   * @param done called with the position of the channel; null: no answer in time, and the outcome is unknown
   */
  remove(channel: string, done: (top: Position | null) => void): void {
    this.#request(
      (id, socket) => {
        socket.out.remove(id, channel);
      },
      null,
      (answer) => {
        done(answer?.top ?? null);
      },
    );
  }

  /** Closes the link. Unacknowledged publications may be lost. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#socket?.flush();
    this.#socket?.destroy();
    this.#failReads();
    this.presence.close();
  }

  /** Ends all reads without an answer. */
  #failReads(): void {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const { done, deadline } of requests) {
      clearTimeout(deadline);
      done(null);
    }
  }

  #congest(isCongested: boolean): void {
    this.#isCongested = isCongested;
    this.#options.events.congested(isCongested);
  }

  #send(write: (socket: FrameSocket) => void): void {
    if (!this.#isUp || !this.#socket) return; // sent again over the next link
    write(this.#socket);
    this.#scheduler.request();
  }

  #add(channel: string): Subscription {
    const subscription: Subscription = {
      id: ++this.#lastChannel,
      channel,
      position: null,
      isLive: false,
      waiting: new Set(),
      early: [],
    };
    this.#subscriptions.set(channel, subscription);
    this.#byId.set(subscription.id, subscription);
    return subscription;
  }

  #request(
    write: (id: number, socket: FrameSocket) => void,
    channel: string | null,
    done: (answer: Page | null) => void,
  ): void {
    const id = ++this.#lastRequest;
    const ask = (socket: FrameSocket) => {
      write(id, socket);
    };
    const expire = () => {
      this.#requests.delete(id);
      done(null);
    };
    const deadline = setTimeout(expire, this.machines.isAway ? 0 : readTimeoutMs);
    this.#requests.set(id, { ask, channel, messages: [], done, deadline });
    this.#send(ask);
  }

  #dial(): void {
    const { path, hubId, workerId } = this.#options;
    const connection = createConnection(path);
    const socket = new FrameSocket(connection, {
      frame: (type, fields) => {
        this.#frame(type, fields);
      },
      drained: () => undefined,
      closed: (error) => {
        this.#closed(socket, error);
      },
    });
    this.#socket = socket;
    connection.on('connect', () => {
      socket.out.json('hello', { hubId, workerId, life: this.#life });
      socket.flush();
    });
  }

  #closed(socket: FrameSocket, error: Error | undefined): void {
    if (this.#socket !== socket) return;
    const { log, events } = this.#options;
    this.#socket = null;
    const wasUp = this.#isUp;
    this.#isUp = false;
    for (const subscription of this.#subscriptions.values()) {
      subscription.isLive = false;
      subscription.early = [];
    }
    for (const request of this.#requests.values()) request.messages = [];
    this.presence.down();
    this.machines.down();
    if (this.#isClosed) return;
    const reason = error ? messageOf(error) : 'closed';
    if (wasUp)
      log.warn({ reason }, 'the link to the broker is gone; channels with history wait for the next one');
    else if (error instanceof FrameError) log.error({ reason }, 'the broker is not understood');
    this.#retry = setTimeout(
      () => {
        this.#dial();
      },
      jittered(backoffMs(this.#failures++, retry)),
    );
    if (wasUp) events.down();
  }

  #frame(type: number, fields: Fields): void {
    switch (type) {
      case frameTypes.publication:
        this.#publication(fields);
        break;
      case frameTypes.appended:
        this.#unacknowledged.acknowledge(fields.u48());
        if (this.#isCongested && this.#unacknowledged.bytes < this.#maxBytes * congestion.end)
          this.#congest(false);
        break;
      case frameTypes.placed:
        this.#placed(fields);
        break;
      case frameTypes.subscribed:
        this.#subscribed(fields);
        break;
      case frameTypes.message:
        this.#message(fields);
        break;
      case frameTypes.page: {
        const [id, flags] = [fields.u48(), fields.u8()];
        const complete = (flags & pageFlags.complete) !== 0;
        this.#page({ id, complete, top: fields.position(), more: (flags & pageFlags.more) !== 0 });
        break;
      }
      case frameTypes.removed:
        this.#settle(fields.u48(), { complete: true, top: fields.position() });
        break;
      case frameTypes.welcome:
        this.#welcome(fields);
        break;
      case frameTypes.followed:
      case frameTypes.relayed:
      case frameTypes.engine:
        this.machines.frame(type, fields);
        break;
      default:
        this.presence.frame(type, fields);
    }
  }

  /** Sends the complete state of the worker: subscriptions, unacknowledged publications and open requests. */
  #welcome(fields: Fields): void {
    const hello = fields.json() as { hubId?: unknown };
    if (hello.hubId !== this.#options.hubId) throw new FrameError('the broker of another hub');
    const socket = this.#socket;
    if (!socket) return;
    for (const { id, channel, position } of this.#subscriptions.values()) {
      socket.out.subscribe(id, channel, position);
    }
    for (const { append, placed } of this.#unacknowledged.all()) socket.out.append(append, placed !== null);
    for (const { ask } of this.#requests.values()) ask(socket);
    this.presence.opened(socket.out);
    this.machines.opened(socket.out);
    this.#isUp = true;
    this.#failures = 0;
    this.#scheduler.request();
    this.#options.log.debug({ unacknowledged: this.#unacknowledged.length }, 'linked to the broker');
    this.#options.events.up();
    for (const call of this.#whenUp) call();
  }

  #publication(fields: Fields): void {
    const subscription = this.#byId.get(fields.u48());
    const position = subscription?.position;
    if (!position) return; // unsubscribed in the meantime
    const offset = fields.u48();
    const delivery: Delivery = {
      epoch: position.epoch,
      offset,
      time: fields.f64(),
      sender: fields.u48(),
      readAt: fields.f64(),
      meta: fields.bytes16(),
      trace: fields.bytes8(),
      payload: fields.rest(),
    };
    position.offset = offset;
    this.#options.events.publication(subscription.channel, delivery);
    if (subscription.early.length > 0) this.#takeEarly(subscription);
  }

  #subscribed(fields: Fields): void {
    const [id, flags, position] = [fields.u48(), fields.u8(), fields.position()];
    const subscription = this.#byId.get(id);
    if (!subscription) return;
    const isKnown = subscription.position !== null;
    subscription.position = { ...position };
    subscription.isLive = true;
    if (isKnown && (flags & subscribedFlags.gap) !== 0)
      this.#options.events.gap(subscription.channel, position);
    const waiting = [...subscription.waiting];
    subscription.waiting.clear();
    for (const subscribed of waiting) subscribed(position);
    if (subscription.early.length > 0) this.#takeEarly(subscription);
  }

  #placed(fields: Fields): void {
    const [number, flags, position] = [fields.u48(), fields.u8(), fields.optionalPosition()];
    const item = this.#unacknowledged.get(number);
    if (!item?.placed) return;
    const { placed } = item;
    item.placed = null;
    const isDuplicate = (flags & placedFlags.byKey) !== 0;
    placed({
      position,
      duplicate: isDuplicate ? 'key' : (flags & placedFlags.byRetry) !== 0 ? 'retry' : null,
    });
  }

  #message(fields: Fields): void {
    const request = this.#requests.get(fields.u48());
    request?.messages.push({
      offset: fields.u48(),
      time: fields.f64(),
      meta: fields.text16(),
      payload: fields.restText('latin1'),
    });
  }

  /**
   * Passes a page on when exactly the publications up to its top are delivered. The broker reads the history beside the
   * publications that it sends, so the top of a page can be before or after the last of them. A page that is too old is
   * requested again; one that is too new waits for the publications.
   */
  #page(page: EarlyPage): void {
    const { id, ...answer } = page;
    const { top } = answer;
    const request = this.#requests.get(id);
    if (!request) return;
    const subscription = request.channel === null ? undefined : this.#subscriptions.get(request.channel);
    const position = subscription?.position;
    if (!position || (position.epoch === top.epoch && position.offset === top.offset)) {
      this.#settle(id, answer);
    } else if (position.epoch === top.epoch && position.offset < top.offset) {
      subscription.early.push(page);
    } else {
      request.messages = [];
      this.#send(request.ask);
    }
  }

  #takeEarly(subscription: Subscription): void {
    const { early } = subscription;
    subscription.early = [];
    for (const page of early) this.#page(page);
  }

  #settle(id: number, answer: Omit<Page, 'messages'>): void {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    clearTimeout(request.deadline);
    request.done({ ...answer, messages: request.messages });
  }
}

/** A position that no broker gives. It stands for positions that do not fit into a frame. */
const nowhere: Position = { epoch: '-', offset: 0 };

function wirePosition(position: Position): Position {
  const { epoch, offset } = position;
  const fits = /^[\w-]{1,64}$/.test(epoch) && Number.isInteger(offset) && offset >= 0 && offset <= maxNumber;
  return fits ? position : nowhere;
}
