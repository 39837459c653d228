/**
 * A worker's link to the broker, which orders and keeps the publications of channels with history. It promises:
 *
 * - What `publish` took is stored once and in order, whatever becomes of the link or the broker, as long as this
 *   process lives: what is not acknowledged is sent again over the next link.
 * - After `subscribed` has been called every publication of the channel comes, each once and in the order of offsets.
 *   What was missed while there was no link comes first over the next one; where the broker cannot give it, `gap` says so.
 * - Answers and publications are handed over in the order in which the broker said them: a page ends where the
 *   publications that come after it begin. Hence callbacks and no promises.
 *
 * It has no deadlines but for reads: while the broker is away, joins and publications wait. Publications are refused
 * with `unavailable` once too many bytes of them wait.
 */
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { backoffMs, jittered } from '../../platform/backoff.ts';
import { FlushScheduler } from '../../platform/flush-scheduler.ts';
import { HubError, messageOf } from '../../platform/errors.ts';
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
import { UnacknowledgedQueue } from './unacknowledged.ts';

/** A publication of a channel with history, as the broker delivers it. Its bytes are views into what was read. */
export interface Delivery {
  readonly epoch: string;
  readonly offset: number;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  readonly payload: Buffer;
  /** see `Draft` */
  readonly meta: Buffer;
  /** the sender's number, where it is of this worker; else 0 */
  readonly sender: number;
  /** when the hub read it, in seconds of clock.ts; 0: it comes from the history */
  readonly readAt: number;
  /** its trace context; empty: not traced */
  readonly trace: Buffer;
}

/** A publication on its way to the broker; its bytes must not change until it is acknowledged. */
export interface Draft {
  readonly payload: Buffer;
  /** what the hub keeps beside it, such as the sender's user as JSON; 65 535 bytes at most */
  readonly meta: Buffer;
  /** the idempotency key, 255 bytes at most; `''`: none */
  readonly key: string;
  /** a number of this worker's connections; 0: none */
  readonly sender: number;
  readonly readAt: number;
  readonly trace: Buffer;
}

export interface BrokerLinkEvents {
  publication(channel: string, delivery: Delivery): void;
  /** Publications of a subscribed channel are lost for its subscribers; everything after this position comes. */
  gap(channel: string, position: Position): void;
  /** The broker has taken over what was subscribed and unacknowledged. */
  up(): void;
  /** Too many bytes wait for acknowledgement: publishers of channels with history should pause. False: no longer. */
  congested(isCongested: boolean): void;
  /** The link is gone. Channels with history stand still until `up`. */
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
  /** what may wait for acknowledgement */
  maxUnacknowledgedBytes?: number;
}

interface Subscription {
  readonly id: number;
  readonly channel: string;
  /** null: the broker has not answered yet */
  position: { epoch: string; offset: number } | null;
  /** the broker has answered over the present link */
  isLive: boolean;
  waiting: ((position: Position) => void)[];
}

/** A question that is asked again over a new link. */
interface Question {
  ask: (socket: FrameSocket) => void;
  messages: Stored[];
  /** null: not answered in time */
  done: (answer: Page | null) => void;
  deadline: NodeJS.Timeout;
}

const retry = { firstMs: 20, maxMs: 1_000 };
const readTimeoutMs = 5_000;
/** Shares of that bound: from `begin` on publishers should pause, until `end`. */
const congestion = { begin: 1 / 8, end: 1 / 16 };
const defaultMaxUnacknowledgedBytes = 16 * 1024 * 1024;

export class BrokerLink {
  readonly #options: BrokerLinkOptions;
  readonly #maxBytes: number;
  /** unique for all time, so that numbers of another process are never taken for its own */
  readonly #life = randomBytes(9).toString('base64url');
  readonly #scheduler: FlushScheduler;
  readonly #unacknowledged = new UnacknowledgedQueue();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #byId = new Map<number, Subscription>();
  readonly #questions = new Map<number, Question>();
  /** null: there is none; it takes frames once the broker has welcomed it */
  #socket: FrameSocket | null = null;
  #isUp = false;
  #isCongested = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #lastAppend = 0;
  #lastChannel = 0;
  #lastQuestion = 0;

  constructor(options: BrokerLinkOptions) {
    this.#options = options;
    this.#maxBytes = options.maxUnacknowledgedBytes ?? defaultMaxUnacknowledgedBytes;
    this.#scheduler = new FlushScheduler(() => {
      this.#socket?.flush();
      return Infinity;
    });
  }

  /** Dials, and again whenever the link is gone, until `close`. */
  open(): void {
    this.#dial();
  }

  /** The broker answers. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Bytes of publications that are not acknowledged. */
  get unacknowledgedBytes(): number {
    return this.#unacknowledged.bytes;
  }

  /** Publications that are not acknowledged. */
  get unacknowledged(): number {
    return this.#unacknowledged.length;
  }

  /**
   * Publishes to a channel with history, now or once there is a link.
   * @param placed called with the position; null: the sender does not ask for it
   * @throws {HubError} `unavailable`: too much waits for the broker
   * @throws {RangeError} the key or the meta is too long; nothing was sent
   */
  publish(channel: string, draft: Draft, placed: ((result: Appended) => void) | null = null): void {
    if (this.#unacknowledged.bytes > this.#maxBytes || this.#isClosed) throw new HubError('unavailable');
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
   * Asks for all publications of a channel from now on.
   * @param subscribed called with the position from which they come; at once if that is known
   */
  subscribe(channel: string, subscribed: (position: Position) => void): void {
    const found = this.#subscriptions.get(channel);
    if (found?.isLive && found.position) {
      subscribed({ ...found.position });
      return;
    }
    const subscription = found ?? this.#add(channel);
    subscription.waiting.push(subscribed);
    if (!found)
      this.#send((socket) => {
        socket.out.subscribe(subscription.id, channel, null);
      });
  }

  /** Ends it; nothing more of the channel comes, nor a call of `subscribed`. */
  unsubscribe(channel: string): void {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    this.#subscriptions.delete(channel);
    this.#byId.delete(subscription.id);
    this.#send((socket) => {
      socket.out.unsubscribe(subscription.id);
    });
  }

  /** The position up to which publications of a subscribed channel have come; null: not known. */
  positionOf(channel: string): Position | null {
    const position = this.#subscriptions.get(channel)?.position;
    return position ? { ...position } : null;
  }

  /**
   * Reads the history of a channel. Publications of a subscribed channel that come before `done` are in the page or
   * before it, those that come after it follow its top. A position may be any text and number: what no broker can have
   * given is answered as one that is not known.
   * @param done null: the broker did not answer in time
   */
  history(channel: string, range: Range, done: (page: Page | null) => void): void {
    const wired = { ...range, since: range.since && wirePosition(range.since) };
    this.#question((id, socket) => {
      socket.out.read(id, channel, wired);
    }, done);
  }

  /** Empties the history of a channel. @param done null: no answer in time, outcome unknown */
  remove(channel: string, done: (top: Position | null) => void): void {
    this.#question(
      (id, socket) => {
        socket.out.remove(id, channel);
      },
      (answer) => {
        done(answer?.top ?? null);
      },
    );
  }

  /** Resolves when everything published so far is acknowledged, or after `timeoutMs`: the worker is about to end. */
  async settled(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#unacknowledged.length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.#unacknowledged.length === 0;
  }

  /** Ends the link for good; what is not acknowledged may be lost. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#socket?.flush();
    this.#socket?.destroy();
    for (const { done, deadline } of this.#questions.values()) {
      clearTimeout(deadline);
      done(null);
    }
    this.#questions.clear();
  }

  #congest(isCongested: boolean): void {
    this.#isCongested = isCongested;
    this.#options.events.congested(isCongested);
  }

  #send(write: (socket: FrameSocket) => void): void {
    if (!this.#isUp || !this.#socket) return; // all of it is said again over the next link
    write(this.#socket);
    this.#scheduler.request();
  }

  #add(channel: string): Subscription {
    const subscription: Subscription = {
      id: ++this.#lastChannel,
      channel,
      position: null,
      isLive: false,
      waiting: [],
    };
    this.#subscriptions.set(channel, subscription);
    this.#byId.set(subscription.id, subscription);
    return subscription;
  }

  #question(write: (id: number, socket: FrameSocket) => void, done: (answer: Page | null) => void): void {
    const id = ++this.#lastQuestion;
    const ask = (socket: FrameSocket) => {
      write(id, socket);
    };
    const deadline = setTimeout(() => {
      this.#questions.delete(id);
      done(null);
    }, readTimeoutMs);
    this.#questions.set(id, { ask, messages: [], done, deadline });
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
    for (const subscription of this.#subscriptions.values()) subscription.isLive = false;
    for (const question of this.#questions.values()) question.messages = [];
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
        this.#answer(id, (flags & pageFlags.complete) !== 0, fields.position());
        break;
      }
      case frameTypes.removed:
        this.#answer(fields.u48(), true, fields.position());
        break;
      case frameTypes.welcome:
        this.#welcome(fields);
        break;
      default:
        throw new FrameError(`frame type ${type} is unknown`);
    }
  }

  /** Says everything that the broker must know: what is listened to, what it has not acknowledged, what is asked. */
  #welcome(fields: Fields): void {
    const hello = fields.json() as { hubId?: unknown };
    if (hello.hubId !== this.#options.hubId) throw new FrameError('the broker of another hub');
    const socket = this.#socket;
    if (!socket) return;
    for (const { id, channel, position } of this.#subscriptions.values()) {
      socket.out.subscribe(id, channel, position);
    }
    for (const { append, placed } of this.#unacknowledged.all()) socket.out.append(append, placed !== null);
    for (const { ask } of this.#questions.values()) ask(socket);
    this.#isUp = true;
    this.#failures = 0;
    this.#scheduler.request();
    this.#options.log.debug({ unacknowledged: this.#unacknowledged.length }, 'linked to the broker');
    this.#options.events.up();
  }

  #publication(fields: Fields): void {
    const subscription = this.#byId.get(fields.u48());
    const position = subscription?.position;
    if (!position) return; // unsubscribed meanwhile
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
    const waiting = subscription.waiting.splice(0);
    for (const subscribed of waiting) subscribed(position);
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
    const question = this.#questions.get(fields.u48());
    question?.messages.push({
      offset: fields.u48(),
      time: fields.f64(),
      meta: fields.text16(),
      payload: fields.restText('latin1'),
    });
  }

  #answer(id: number, complete: boolean, top: Position): void {
    const question = this.#questions.get(id);
    if (!question) return;
    this.#questions.delete(id);
    clearTimeout(question.deadline);
    question.done({ complete, top, messages: question.messages });
  }
}

/** A position that no broker gives, for those that do not fit into a frame. */
const nowhere: Position = { epoch: '-', offset: 0 };

function wirePosition(position: Position): Position {
  const { epoch, offset } = position;
  const fits = /^[\w-]{1,64}$/.test(epoch) && Number.isInteger(offset) && offset >= 0 && offset <= maxNumber;
  return fits ? position : nowhere;
}
