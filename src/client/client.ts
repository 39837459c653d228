/**
 * One client: its identity, its subscriptions, its collected writes, and its close. It promises that nothing is
 * written after its close frame, and that a close by the hub is announced. It knows no details of its transport and
 * protocol, and no other clients, handlers or siblings.
 */
import type { Grant } from '../auth/grant.ts';
import type { Channel, Member, PublicationEncoder, WriteResult } from '../channel/channel.ts';
import type { PresentMember } from '../channel/member.ts';
import type { DisconnectCause } from '../metrics/counters.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { fullBucket } from '../platform/token-bucket.ts';
import type { Protocol, ReconnectDelay } from '../protocol/protocol.ts';
import type { Transport } from '../transport/transport.ts';
import { connectionId } from './connection-id.ts';

/**
 * The connections from one address, or from one /64 prefix of IPv6, because a single host can use all its addresses.
 */
export interface AddressQuota {
  readonly key: string;
  connections: number;
  /** see token-bucket.ts */
  bucket: number;
}

/**
 * The state of a client.
 * - `closing`: a close frame was sent or received; nothing is written after it
 * - `closed`: the socket is closed
 */
export type ClientState = 'open' | 'closing' | 'closed';

/**
 * Why reading from a client is paused.
 * - `handler`: a handler is running
 * - `congestion`: its channel is congested
 * - `turn`: it has had its share of this turn of the event loop
 * - `session`: commands of its session wait for earlier ones
 */
export type PauseCause = 'handler' | 'congestion' | 'turn' | 'session';
const pauseBits = { handler: 1, congestion: 2, turn: 4, session: 8 } as const;

/** The interface of a client to its worker; one object serves all clients. */
export interface ClientOwner {
  /** most bytes that may wait for a client before it counts as slow */
  readonly outboxSoftBytes: number;
  /** More bytes wait for the client; it may be closed during this call. */
  slow(client: Client): void;
  /** Called when `publications` publications were skipped for a slow client. */
  skipped(publications: number): void;
  /** The client has begun to collect writes: `release` must be called at the end of this turn. */
  releaseLater(client: Client): void;
  /** Writes the waiting publications of its channels to the client. */
  catchUp(client: Client): void;
  /**
   * Ends the subscriptions of the client and writes their waiting publications. Called once, before the close frame
   * is sent.
   */
  unsubscribeAll(client: Client): void;
}

/** The origin of a client. */
export interface ClientOrigin {
  /** its address, by the headers of a trusted proxy; null: the address of the transport counts */
  readonly address: string | null;
  /** the quota of its address; null: the client has not passed admission control */
  readonly quota: AddressQuota | null;
  /** the grant of its token; null: no token is needed */
  readonly grant: Grant | null;
}

/** The session of a client that may have several channels. */
export interface ClientSession {
  /** The hub ends one subscription. It may have removed it from the channel before. */
  endSubscription(subscription: Subscription, reason: CloseReason): void;
  /** The client has not answered a ping in time. */
  pingTimedOut(): void;
}

const none: readonly Subscription[] = [];
const unknownOrigin: ClientOrigin = { address: null, quota: null, grant: null };

export class Client {
  /** 128 random bits */
  readonly id = connectionId();
  readonly protocol: Protocol;
  /** only the hub changes it; replaced instead of extended: a list that grows reserves 16 more places */
  subscriptions: readonly Subscription[] = none;
  /** Unix time in milliseconds */
  readonly since = Date.now();
  readonly quota: AddressQuota | null;
  /** null: no token is needed, or it is not verified yet. Only clients.ts changes it. */
  grant: Grant | null;
  /** when it is closed, as Unix time in seconds; Infinity: never. Only clients.ts changes it. */
  expiresAt = Infinity;
  /** null: it has one channel. Set when it is opened. */
  session: ClientSession | null = null;
  state: ClientState = 'open';
  /** see Pingable; set to false when data is received */
  awaitsPong = false;
  /** see Pingable */
  pingBucket = 0;
  /** see RateLimited */
  messageBucket = fullBucket;
  byteBucket = fullBucket;
  limitedSince = 0;
  limitedAt = 0;
  invalidCount = 0;
  invalidSince = 0;
  /** see SlowConsumer */
  slowSince = 0;
  skipped = -1;
  mustGetAll = false;
  replayBytes = 0;
  /** the hub closed it, and not because the worker ends: its unhandled messages are dropped */
  evicted = false;
  /** cause of the disconnect; `abnormal` until a close begins */
  disconnectCause: DisconnectCause = 'abnormal';
  readonly #address: string | null;
  /** bits of the causes for which reading is paused */
  #pauses = 0;
  /** writes are collected until `release` */
  #holds = false;
  /** the collected writes; null: none */
  #held: Buffer[] | null = null;
  /** bytes collected since `gate`; null: no gate is closed */
  #gated: number | null = null;
  readonly #transport: Transport;
  readonly #owner: ClientOwner;

  constructor(
    transport: Transport,
    protocol: Protocol,
    owner: ClientOwner,
    { address, quota, grant }: ClientOrigin = unknownOrigin,
  ) {
    this.#transport = transport;
    this.protocol = protocol;
    this.#owner = owner;
    this.#address = address;
    this.quota = quota;
    this.grant = grant;
  }

  /** the user of its token; null: none */
  get user(): string | null {
    return this.grant?.user ?? null;
  }

  get remoteAddress(): string {
    return this.#address ?? this.#transport.remoteAddress;
  }

  /** Bytes that were written and not yet accepted by the kernel. */
  get bufferedBytes(): number {
    return this.#transport.bufferedBytes + (this.#gated ?? 0);
  }

  /**
   * Queues the bytes of `publications` publications, or skips them while the client is slow and the policy is to
   * skip. With several subscriptions the bytes are collected, so that all bytes of a turn leave in one write.
   */
  deliver(bytes: Buffer, publications: number): WriteResult {
    if (this.#isSkipped(publications)) return 'skipped';
    if (this.subscriptions.length > 1 && !this.#holds) {
      this.#holds = true;
      this.#owner.releaseLater(this);
    }
    return this.#put(bytes) > this.#owner.outboxSoftBytes ? 'over limit' : 'sent';
  }

  /**
   * Collects writes until `release`, so that several messages of a client are answered in one write. `release` must
   * follow within the same turn.
   */
  hold(): void {
    this.#holds = true;
  }

  /** Collects all writes until `ungate`, over several turns, because a message must precede them. */
  gate(): void {
    this.#holds = true;
    this.#gated = 0;
  }

  /** Writes this message, and then all that was collected since `gate`. */
  ungate(first: Buffer): void {
    this.#gated = null;
    if (this.state !== 'open') return;
    (this.#held ??= []).unshift(first);
    if (first.length > this.#owner.outboxSoftBytes) this.replayBytes += first.length; // it has requested publications
    this.release();
  }

  /** Writes the collected bytes. */
  release(): void {
    if (this.#gated !== null) return;
    this.#holds = false;
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    const waiting = this.#transport.write(held.length === 1 && held[0] ? held[0] : Buffer.concat(held));
    if (waiting > this.#owner.outboxSoftBytes) this.#owner.slow(this);
  }

  /**
   * Sends a message of a handler after all waiting publications of its channels. Does nothing once the client is
   * closing.
   */
  send(text: string): void {
    if (this.state !== 'open') return;
    this.#owner.catchUp(this);
    this.write(this.protocol.message(text));
  }

  /** Sends an error: a message of the client was not accepted. */
  error(code: ErrorCode, message?: string): void {
    this.#writeAny(this.protocol.error(code, message));
  }

  /** Announces that the worker is about to end. */
  draining(reconnect: ReconnectDelay): void {
    this.#writeAny(this.protocol.draining(reconnect));
  }

  /** @param bytes empty: the protocol has no such message */
  #writeAny(bytes: Buffer): void {
    if (bytes.length > 0) this.write(bytes);
  }

  /** Queues a message of the hub to this client alone. Does nothing once the client is closing. */
  write(bytes: Buffer, publications = 1): void {
    if (this.state !== 'open' || this.#isSkipped(publications)) return;
    if (this.#put(bytes) > this.#owner.outboxSoftBytes) this.#owner.slow(this);
  }

  /** Reports that the client is over its soft limit. */
  reportSlow(): void {
    this.#owner.slow(this);
  }

  /**
   * Queues the publications that the client has requested from the history. The hard limit does not apply to them: the
   * client has the time of the soft limit to read them.
   */
  replay(bytes: Buffer): void {
    if (this.state !== 'open' || this.#put(bytes) <= this.#owner.outboxSoftBytes) return;
    this.replayBytes += bytes.length;
    this.#owner.slow(this);
  }

  /** see SlowConsumer */
  caughtUp(): void {
    const { skipped } = this;
    this.skipped = -1;
    if (skipped > 0 && this.state === 'open') this.#put(this.protocol.skipped(skipped));
  }

  ping(): void {
    const { ping } = this.protocol;
    if (ping) this.write(ping, 0);
    else if (this.state === 'open') this.#transport.sendPing();
  }

  pong(data: Buffer): void {
    this.write(this.#transport.pongFrame(data), 0);
  }

  /** Reading is paused, so the client cannot answer a ping. */
  get paused(): boolean {
    return this.#pauses !== 0;
  }

  pausedFor(cause: PauseCause): boolean {
    return (this.#pauses & pauseBits[cause]) !== 0;
  }

  /** Pauses reading until every cause has been resumed. */
  pause(cause: PauseCause): void {
    if (this.#pauses === 0) this.#transport.pause();
    this.#pauses |= pauseBits[cause];
  }

  resume(cause: PauseCause): void {
    if (this.#pauses === 0) return;
    this.#pauses &= ~pauseBits[cause];
    if (this.#pauses === 0) this.#transport.resume();
  }

  /**
   * Closes the client: writes its waiting publications, then the announcement, then the close frame.
   * @param detail follows the reason in the close frame; ASCII, at most 90 bytes
   */
  close(reason: CloseReason, detail?: string): void {
    if (!this.beginClose(reason)) return;
    this.evicted = reason !== 'restarting' && reason !== 'going_away';
    this.#endClose(this.protocol.closeCode(reason), detail === undefined ? reason : `${reason} ${detail}`);
  }

  /**
   * Closes the client with a code that no reason has, such as the codes of handlers (4000 to 4999).
   * @param reason at most 123 bytes of UTF-8, see closeText; ws throws for more, after the subscriptions have ended
   */
  closeWith(code: number, reason: string, cause: DisconnectCause = 'handler'): void {
    if (!this.beginClose(null)) return;
    this.disconnectCause = cause;
    this.evicted = true;
    this.#endClose(code, reason);
  }

  /** Ends one subscription on behalf of the hub. A client that has one channel is closed. */
  endSubscription(subscription: Subscription, reason: CloseReason): void {
    if (this.session) this.session.endSubscription(subscription, reason);
    else this.close(reason);
  }

  /**
   * Does the part of a close that precedes the close frame, whichever side sends it.
   * @param reason sent to the client; null: the client closes
   * @returns false: a close had already begun
   */
  beginClose(reason: CloseReason | null): boolean {
    if (this.state === 'open') this.release(); // may close the client
    if (this.state !== 'open') return false;
    if (this.#gated !== null) this.#held = this.#gated = null; // the first message was never written
    this.state = 'closing';
    this.disconnectCause = reason ?? 'client';
    this.hold();
    this.#owner.unsubscribeAll(this);
    const announcement = reason === null ? null : this.protocol.disconnected(reason);
    if (announcement !== null && announcement.length > 0) this.#put(announcement);
    this.release();
    return true;
  }

  /**
   * Sends the close frame. Reading resumes whatever the cause of the pause, because the close frame of the client
   * must be read.
   */
  #endClose(code: number, text: string): void {
    this.#pauses = 0;
    this.#transport.resume();
    this.#transport.close(code, text);
  }

  /** see Pingable */
  onPingTimeout(): void {
    if (this.state === 'open' && this.session) {
      this.session.pingTimedOut();
      return;
    }
    if (this.state === 'open') this.disconnectCause = 'no_pong';
    this.terminate();
  }

  /** Drops the connection without a close frame, for clients that do not answer. */
  terminate(): void {
    this.#transport.terminate();
  }

  /** The socket has closed, for any reason. */
  ended(): void {
    const wasOpen = this.state === 'open';
    this.state = 'closed';
    if (wasOpen) this.#owner.unsubscribeAll(this);
  }

  /** @returns bytes that the kernel has not accepted; 0 while writes are collected, unless a gate is closed */
  #put(bytes: Buffer): number {
    if (!this.#holds) return this.#transport.write(bytes);
    (this.#held ??= []).push(bytes);
    return this.#gated === null ? 0 : (this.#gated += bytes.length);
  }

  /** Returns whether the client is still slow; then its publications were skipped. */
  #isSkipped(publications: number): boolean {
    if (this.skipped === -1) return false;
    if (this.#transport.bufferedBytes <= this.#owner.outboxSoftBytes) {
      this.caughtUp();
      return false;
    }
    this.skipped += publications;
    this.#owner.skipped(publications);
    return true;
  }
}

/** The options of a subscription: requested by the client, limited by its grant. */
export interface SubscriptionOptions {
  /** false: the client does not receive its own publications */
  readonly echo: boolean;
  /** false: its token does not allow publishing on the channel */
  readonly mayPublish: boolean;
  /**
   * Joins and leaves of the channel that the client is told of:
   * - `none`, the default
   * - `others`: all but its own join
   * - `all`
   */
  readonly memberEvents?: MemberEvents;
  /** data about the client for presence, JSON; absent: the claim `info` of its token */
  readonly info?: string | undefined;
  /** data about the subscription for presence, JSON; absent: none */
  readonly channelInfo?: string | undefined;
}

type MemberEvents = 'none' | 'others' | 'all';

/** A subscription: one client on one channel. */
export class Subscription implements Member {
  readonly client: Client;
  readonly channel: Channel<Subscription>;
  readonly echo: boolean;
  readonly mayPublish: boolean;
  readonly memberEvents: MemberEvents;
  /** its entry in presence, with its number at the broker; null: the channel has no presence. Only local-presence.ts changes it. */
  member: (PresentMember & { readonly number: number }) | null = null;
  /** see Member */
  number = 0;
  /**
   * number of this sender for the broker; 0: it has not published to a channel with history. Only the hub changes it.
   */
  sender = 0;

  constructor(
    client: Client,
    channel: Channel<Subscription>,
    { echo, mayPublish, memberEvents = 'none' }: SubscriptionOptions,
  ) {
    this.client = client;
    this.channel = channel;
    this.echo = echo;
    this.mayPublish = mayPublish;
    this.memberEvents = memberEvents;
  }

  /** the subscription that does not receive its own publications: this one, or null */
  get excluded(): Subscription | null {
    return this.echo ? null : this;
  }

  get encoder(): PublicationEncoder {
    return this.client.protocol;
  }

  write(bytes: Buffer, publications: number): WriteResult {
    return this.client.deliver(bytes, publications);
  }
}
