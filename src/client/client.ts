/**
 * One client: who it is, what it is subscribed to, what waits to be written to it, and how it is closed. It promises that
 * nothing is written behind its close frame and that a close by the hub is announced. It knows neither its transport's nor
 * its protocol's ways, nor other clients, handlers and siblings.
 */
import type { Grant } from '../auth/grant.ts';
import type { Channel, Member, PublicationEncoder, WriteResult } from '../channel/channel.ts';
import type { DisconnectCause } from '../metrics/counters.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { fullBucket } from '../platform/token-bucket.ts';
import type { Protocol, ReconnectDelay } from '../protocol/protocol.ts';
import type { Transport } from '../transport/transport.ts';
import { connectionId } from './connection-id.ts';

/** Everything that comes from one address, or from one /64 of IPv6: a single host has all of it to choose from. */
export interface AddressQuota {
  readonly key: string;
  connections: number;
  /** see token-bucket.ts */
  bucket: number;
}

/** `closing`: a close frame was sent or received; nothing follows it. */
export type ClientState = 'open' | 'closing' | 'closed';

/** Why nothing is read from a client: a handler runs, its channel is congested, or it had its share of this turn. */
export type PauseCause = 'handler' | 'congestion' | 'turn';
const pauseBits = { handler: 1, congestion: 2, turn: 4 } as const;

/** What a client asks of its surroundings; one object serves all clients of a worker. */
export interface ClientOwner {
  /** bytes that may wait for one client before it counts as slow */
  readonly outboxSoftBytes: number;
  /** More than that waits for a client; it may be closed at once. */
  slow(client: Client): void;
  /** So many publications were left out for a client that has fallen behind. */
  skipped(publications: number): void;
  /** The client collects what is written to it: `release` is to be called at the end of this turn. */
  releaseLater(client: Client): void;
  /** Writes to it what was published on its channels and still waits to be written. */
  catchUp(client: Client): void;
  /** Called once, before the close frame is sent: ends its subscriptions, writes what they still owe it. */
  unsubscribeAll(client: Client): void;
}

/** How a client came. */
export interface ClientOrigin {
  /** its address, as trusted proxies say or as it was found out; null: ask the transport */
  readonly address: string | null;
  /** what its address is counted with; null only where it never passed admission */
  readonly quota: AddressQuota | null;
  /** what its token grants; null without tokens */
  readonly grant: Grant | null;
}

const unknownOrigin: ClientOrigin = { address: null, quota: null, grant: null };

export class Client {
  /** 128 random bits */
  readonly id = connectionId();
  readonly protocol: Protocol;
  /** only the hub changes it */
  readonly subscriptions: Subscription[] = [];
  /** Unix time in milliseconds */
  readonly since = Date.now();
  readonly quota: AddressQuota | null;
  readonly grant: Grant | null;
  state: ClientState = 'open';
  /** see Pingable; what comes from the peer sets it to false */
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
  /** the hub closed it, and not because a worker ends: what it sent and is not yet handled is left out */
  evicted = false;
  /** how it ends; `abnormal` until a close begins */
  disconnectCause: DisconnectCause = 'abnormal';
  readonly #address: string | null;
  /** bits of the causes for which reading is stopped */
  #pauses = 0;
  /** writes are collected, until `release` */
  #holds = false;
  /** the collected writes; null: none */
  #held: Buffer[] | null = null;
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

  /** the user that its token names */
  get user(): string | null {
    return this.grant?.user ?? null;
  }

  get remoteAddress(): string {
    return this.#address ?? this.#transport.remoteAddress;
  }

  /** Bytes that were written and that the kernel has not yet taken. */
  get bufferedBytes(): number {
    return this.#transport.bufferedBytes;
  }

  /**
   * Queues the bytes of so many publications, or leaves them out while the client is behind and the policy is to skip.
   * With several subscriptions they are collected, so that all that one turn brings leaves in one write.
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
   * Collects what is written from now on, until `release`: what a client sends together is answered in one write. Nothing
   * else may be waited for meanwhile.
   */
  hold(): void {
    this.#holds = true;
  }

  /** Writes what was collected. */
  release(): void {
    this.#holds = false;
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    const waiting = this.#transport.write(held.length === 1 && held[0] ? held[0] : Buffer.concat(held));
    if (waiting > this.#owner.outboxSoftBytes) this.#owner.slow(this);
  }

  /** Sends a message of a handler's own, behind all that was published on its channels before; nothing once it is closing. */
  send(text: string): void {
    if (this.state !== 'open') return;
    this.#owner.catchUp(this);
    this.write(this.protocol.message(text));
  }

  /** Tells it that its message was not accepted. */
  error(code: ErrorCode, message?: string): void {
    this.write(this.protocol.error(code, message));
  }

  /** Tells it that its worker is about to end. */
  draining(reconnect: ReconnectDelay): void {
    this.write(this.protocol.draining(reconnect));
  }

  /** Queues one message of the hub's to this client alone; nothing once it is closing. */
  write(bytes: Buffer, publications = 1): void {
    if (this.state !== 'open' || this.#isSkipped(publications)) return;
    if (this.#put(bytes) > this.#owner.outboxSoftBytes) this.#owner.slow(this);
  }

  /** More waits for it than should. */
  reportSlow(): void {
    this.#owner.slow(this);
  }

  /** Queues what it missed before it joined; more may wait for it than for others, as it asked for it. */
  replay(bytes: Buffer): void {
    if (this.state === 'open') this.#put(bytes);
  }

  /** see SlowConsumer */
  caughtUp(): void {
    const { skipped } = this;
    this.skipped = -1;
    if (skipped > 0 && this.state === 'open') this.#put(this.protocol.skipped(skipped));
  }

  ping(): void {
    if (this.state === 'open') this.#transport.sendPing();
  }

  pong(data: Buffer): void {
    this.write(this.#transport.pongFrame(data), 0);
  }

  /** Reading is stopped, so the client can answer no ping. */
  get paused(): boolean {
    return this.#pauses !== 0;
  }

  pausedFor(cause: PauseCause): boolean {
    return (this.#pauses & pauseBits[cause]) !== 0;
  }

  /** Stops reading until every cause for it has been resumed. */
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
   * Closes it by the hub's will: what is owed first, then the announcement, then the close frame.
   * @param detail stands behind the reason in the close frame; ASCII, at most 90 bytes
   */
  close(reason: CloseReason, detail?: string): void {
    if (!this.beginClose(reason)) return;
    this.evicted = reason !== 'restarting' && reason !== 'going_away';
    this.#endClose(this.protocol.closeCode(reason), detail === undefined ? reason : `${reason} ${detail}`);
  }

  /**
   * Closes it with a code of a handler's own (4000 to 4999).
   * @param reason at most 123 bytes of UTF-8, see closeText: ws throws for more, and by then the client has left
   */
  closeWith(code: number, reason: string): void {
    if (!this.beginClose(null)) return;
    this.disconnectCause = 'handler';
    this.evicted = true;
    this.#endClose(code, reason);
  }

  /**
   * The part of a close that comes before the close frame, whichever side sends it.
   * @param reason what the client is told; null where it closed by itself
   * @returns false if a close had begun before
   */
  beginClose(reason: CloseReason | null): boolean {
    if (this.state === 'open') this.release(); // which may itself close it
    if (this.state !== 'open') return false;
    this.state = 'closing';
    this.disconnectCause = reason ?? 'client';
    this.hold();
    this.#owner.unsubscribeAll(this);
    if (reason !== null) this.#put(this.protocol.disconnected(reason));
    this.release();
    return true;
  }

  /** The peer's close frame must be read, whatever reading waits for. */
  #endClose(code: number, text: string): void {
    this.#pauses = 0;
    this.#transport.resume();
    this.#transport.close(code, text);
  }

  /** see Pingable */
  onPingTimeout(): void {
    if (this.state === 'open') this.disconnectCause = 'no_pong';
    this.terminate();
  }

  /** Drops it without a word: for peers that do not answer. */
  terminate(): void {
    this.#transport.terminate();
  }

  /** The socket is gone, however that came. */
  ended(): void {
    const wasOpen = this.state === 'open';
    this.state = 'closed';
    if (wasOpen) this.#owner.unsubscribeAll(this);
  }

  /** @returns bytes that wait for the kernel; 0 while writes are collected */
  #put(bytes: Buffer): number {
    if (!this.#holds) return this.#transport.write(bytes);
    (this.#held ??= []).push(bytes);
    return 0;
  }

  /** It is still behind, and the publications were left out. */
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

/** What a client asked for on a channel, and what it was granted. */
export interface SubscriptionOptions {
  /** false: it does not get its own publications back */
  readonly echo: boolean;
  /** false: its token does not let it publish on the channel */
  readonly mayPublish: boolean;
}

/** One client on one channel: what it may do there, and how publications reach it. */
export class Subscription implements Member {
  readonly client: Client;
  readonly channel: Channel<Subscription>;
  readonly echo: boolean;
  readonly mayPublish: boolean;
  /** see Member */
  number = 0;
  /** names it to the broker as the sender to leave out; 0: it has sent nothing such. Only the hub changes it. */
  sender = 0;

  constructor(client: Client, channel: Channel<Subscription>, { echo, mayPublish }: SubscriptionOptions) {
    this.client = client;
    this.channel = channel;
    this.echo = echo;
    this.mayPublish = mayPublish;
  }

  get encoder(): PublicationEncoder {
    return this.client.protocol;
  }

  write(bytes: Buffer, publications: number): WriteResult {
    return this.client.deliver(bytes, publications);
  }
}
