/**
 * One client: who it is, what waits to be written to it, and how it is closed. It promises that nothing is
 * written behind its close frame and that a close by the hub is announced by `disconnected`. It does not know
 * channels' other members, handlers or siblings.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Grant } from '../auth/grant.ts';
import type { Channel } from '../channel/channel.ts';
import type { DisconnectCause } from '../metrics/counters.ts';
import { closeCodes } from '../protocol/plain/close-codes.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { disconnectedMessage, skippedMessage } from '../protocol/plain/messages.ts';
import { frameText, pingFrame, pongFrame } from '../transport/websocket/frame-writer.ts';
import { writeNow } from '../platform/node-internals/raw-socket.ts';
import { connectionId } from './connection-id.ts';
import { fullBucket } from '../platform/token-bucket.ts';

/** Everything that comes from one address, or from one /64 of IPv6: a single host has all of it to choose from. */
export interface AddressQuota {
  readonly key: string;
  connections: number;
  /** see token-bucket.ts */
  bucket: number;
}

/** `closing`: a close frame was sent or received; nothing follows it. */
export type ClientState = 'open' | 'closing' | 'closed';

/** Why nothing is read from a connection: a handler runs, its channel is congested, or it had its share of this turn. */
export type PauseCause = 'handler' | 'congestion' | 'turn';
const pauseBits = { handler: 1, congestion: 2, turn: 4 } as const;

/** What a connection asks of its surroundings; one object serves all connections of a worker. */
export interface ClientOwner {
  /** bytes that may wait for one client before it counts as slow */
  readonly outboxSoftBytes: number;
  /** More waits for a client than that; it may be closed at once. */
  slow(connection: Client): void;
  /** Messages were left out for a client that has fallen behind. */
  skipped(messages: number): void;
  /** Writes to it what was published on its channels and still waits to be written. */
  catchUp(connection: Client): void;
  /** Called once, before the close frame is sent: take it off its channels, write what they still owe it. */
  unsubscribeAll(connection: Client): void;
}

export class Client {
  /** 128 random bits */
  readonly id = connectionId();
  /** see Member */
  readonly channels: Channel<this>[] = [];
  /** false: it does not get its own messages back */
  readonly echo: boolean;
  /** Unix time in milliseconds */
  readonly since = Date.now();
  state: ClientState = 'open';
  /** see Pingable; what comes from the peer sets it to false */
  awaitsPong = false;
  /** see Pingable */
  pingBucket = 0;
  /** where it comes from, as trusted proxies say or as it was found out; null: ask the socket */
  forwardedAddress: string | null = null;
  /** what its address is counted with; null only where it never came through the gate */
  source: AddressQuota | null = null;
  /** see Speaker */
  messageBucket = fullBucket;
  byteBucket = fullBucket;
  limitedSince = 0;
  limitedAt = 0;
  invalidCount = 0;
  invalidSince = 0;
  /** see SlowReader */
  slowSince = 0;
  skipped = -1;
  /** what its token grants; null without tokens. Set before it joins. */
  grant: Grant | null = null;
  /** false: its token does not let it publish */
  mayPublish = true;
  /** the hub closed it, and not because a worker ends: what it sent and is not yet handled is left out */
  evicted = false;
  /** how it ends; `abnormal` until a close begins */
  disconnectCause: DisconnectCause = 'abnormal';
  /** bits of the causes for which reading is stopped */
  #pauses = 0;
  /** writes are collected, until `release` */
  #holds = false;
  /** those that were collected; null: none */
  #held: Buffer[] | null = null;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #owner: ClientOwner;

  constructor(ws: WebSocket, socket: Socket, echo: boolean, owner: ClientOwner) {
    this.#ws = ws;
    this.#socket = socket;
    this.echo = echo;
    this.#owner = owner;
  }

  /** the user that its token names */
  get user(): string | null {
    return this.grant?.user ?? null;
  }

  get remoteAddress(): string {
    return this.forwardedAddress ?? this.#socket.remoteAddress ?? '';
  }

  /** Bytes that were written and that the kernel has not yet taken. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /**
   * Queues frames, or leaves them out while the client is behind and the policy is to skip.
   * @param messages in the frames
   * @returns false: it is slow; the frames were queued all the same
   */
  write(frames: Buffer, messages: number): boolean {
    if (this.skipped !== -1 && this.#isBehind(messages)) return true;
    return this.#put(frames) <= this.#owner.outboxSoftBytes;
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
    const waiting = writeNow(this.#socket, held.length === 1 && held[0] ? held[0] : Buffer.concat(held));
    if (waiting > this.#owner.outboxSoftBytes) this.#owner.slow(this);
  }

  /** @returns bytes that wait for the kernel; 0 while writes are collected */
  #put(frames: Buffer): number {
    if (!this.#holds) return writeNow(this.#socket, frames);
    (this.#held ??= []).push(frames);
    return 0;
  }

  /** Sends one JSON text to this client alone; nothing once it is closing. */
  send(text: string): void {
    if (this.state !== 'open') return;
    if (!this.write(frameText(text), 1)) this.#owner.slow(this);
  }

  /** As `send`, behind all that was published on its channels before. */
  sendInOrder(text: string): void {
    if (this.state !== 'open') return;
    this.#owner.catchUp(this);
    this.send(text);
  }

  /** see SlowReader */
  caughtUp(): void {
    const { skipped } = this;
    this.skipped = -1;
    if (skipped > 0 && this.state === 'open') this.#put(frameText(skippedMessage(skipped)));
  }

  ping(): void {
    if (this.state === 'open') writeNow(this.#socket, pingFrame);
  }

  pong(data: Buffer): void {
    if (this.state !== 'open') return;
    if (!this.write(pongFrame(data), 0)) this.#owner.slow(this);
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
    if (this.#pauses === 0) this.#ws.pause();
    this.#pauses |= pauseBits[cause];
  }

  resume(cause: PauseCause): void {
    if (this.#pauses === 0) return;
    this.#pauses &= ~pauseBits[cause];
    if (this.#pauses === 0) this.#ws.resume();
  }

  /**
   * Closes it by the hub's will: what is owed first, then `disconnected`, then the close frame.
   * @param detail stands behind the reason in the close frame; ASCII, at most 90 bytes
   */
  close(reason: CloseReason, detail?: string): void {
    if (!this.beginClose(reason)) return;
    this.evicted = reason !== 'restarting' && reason !== 'going_away';
    this.#readAgain();
    this.#ws.close(closeCodes[reason], detail === undefined ? reason : `${reason} ${detail}`);
  }

  /**
   * Closes it with a code of a handler's own (4000 to 4999).
   * @param reason at most 123 bytes of UTF-8, see closeText: ws throws for more, and by then the connection has left
   */
  closeWith(code: number, reason: string): void {
    if (!this.beginClose(null)) return;
    this.disconnectCause = 'handler';
    this.evicted = true;
    this.#readAgain();
    this.#ws.close(code, reason);
  }

  /**
   * The part of a close that comes before the close frame, whoever sends it.
   * @param reason what the client is told; null where it closed by itself
   * @returns false if a close had begun before
   */
  beginClose(reason: CloseReason | null): boolean {
    if (this.state === 'open') this.release(); // which may itself close it
    if (this.state !== 'open') return false;
    this.state = 'closing';
    this.disconnectCause = reason ?? 'client';
    this.#owner.unsubscribeAll(this);
    if (reason !== null) writeNow(this.#socket, frameText(disconnectedMessage(reason)));
    return true;
  }

  /** The peer's close frame must be read, whatever reading waits for. */
  #readAgain(): void {
    this.#pauses = 0;
    this.#ws.resume();
  }

  /** It is still behind, and the messages were left out. */
  #isBehind(messages: number): boolean {
    if (this.#socket.writableLength <= this.#owner.outboxSoftBytes) {
      this.caughtUp();
      return false;
    }
    this.skipped += messages;
    this.#owner.skipped(messages);
    return true;
  }

  /** see Pingable */
  onPingTimeout(): void {
    if (this.state === 'open') this.disconnectCause = 'no_pong';
    this.terminate();
  }

  /** Drops it without a word: for peers that do not answer. */
  terminate(): void {
    this.#ws.terminate();
  }

  /** The socket is gone, however that came. */
  ended(): void {
    const announced = this.state === 'closing';
    this.state = 'closed';
    if (!announced) this.#owner.unsubscribeAll(this);
  }
}
