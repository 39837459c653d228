/**
 * The part of the link to the broker that reaches other machines: their publications to channels without history, at most
 * once, and those of this worker for them. After the call of `known` every later publication of the other machines comes,
 * unless the engine is not reached.
 */
import { FrameError } from '../mesh/frame-decoder.ts';
import { frameTypes } from './frame.ts';
import type { Fields } from './frame-reader.ts';
import type { FrameWriter } from './frame-writer.ts';

export interface MachinesLinkOptions {
  /** Writes frames to an open link; does nothing without one. */
  send: (write: (out: FrameWriter) => void) => void;
  /** Returns whether the link is open and the broker reads it. */
  isWritable: () => boolean;
  /** The engine is not reached: reads are not answered. */
  away: () => void;
  /** A publication of another machine. The buffers are views into the received chunk. */
  relayed: (channel: string, payload: Buffer, trace: Buffer) => void;
}

interface Follow {
  readonly id: number;
  readonly channel: string;
  /** the broker has answered over the current link */
  isLive: boolean;
  readonly waiting: Set<() => void>;
}

/** Publications to channels with history wait for this time while the engine is not reached; then they are refused. */
const patienceMs = 2_000;

export class MachinesLink {
  readonly #options: MachinesLinkOptions;
  readonly #follows = new Map<string, Follow>();
  readonly #byId = new Map<number, Follow>();
  #lastId = 0;
  /** since when the engine is not reached, in milliseconds of the monotonic clock; null: it is, as far as is known */
  #awaySince: number | null = null;

  constructor(options: MachinesLinkOptions) {
    this.#options = options;
  }

  /** Whether the engine is not reached. */
  get isAway(): boolean {
    return this.#awaySince !== null;
  }

  /** Whether the engine has not been reached for longer than publications should wait. */
  get refuses(): boolean {
    return this.#awaySince !== null && performance.now() - this.#awaySince > patienceMs;
  }

  /** Begins to follow a channel. */
  follow(channel: string): void {
    if (this.#follows.has(channel)) return;
    const follow: Follow = { id: ++this.#lastId, channel, isLive: false, waiting: new Set() };
    this.#follows.set(channel, follow);
    this.#byId.set(follow.id, follow);
    this.#options.send((out) => {
      out.follow(follow.id, channel);
    });
  }

  unfollow(channel: string): void {
    const follow = this.#follows.get(channel);
    if (!follow) return;
    this.#follows.delete(channel);
    this.#byId.delete(follow.id);
    this.#options.send((out) => {
      out.unfollow(follow.id);
    });
  }

  /** Calls `known` when the publications of the other machines come, at once if they do. */
  whenKnown(channel: string, known: () => void): void {
    const follow = this.#follows.get(channel);
    if (follow?.isLive === false) follow.waiting.add(known);
    else known();
  }

  /** Publishes on the other machines. Returns false if the link cannot take it. */
  relay(channel: string, payload: Buffer, trace: Buffer): boolean {
    const { isWritable, send } = this.#options;
    if (!isWritable()) return false;
    send((out) => {
      out.relay(channel, trace, payload);
    });
    return true;
  }

  /** Tells a new link everything. */
  opened(out: FrameWriter): void {
    for (const { id, channel } of this.#follows.values()) out.follow(id, channel);
  }

  /** The link has closed. */
  down(): void {
    this.#awaySince = null; // the next broker tells
    for (const follow of this.#follows.values()) follow.isLive = false;
  }

  /** Handles a frame of the broker. @throws {FrameError} it is unknown */
  frame(type: number, fields: Fields): void {
    switch (type) {
      case frameTypes.relayed: {
        const follow = this.#byId.get(fields.u48());
        const trace = fields.bytes8();
        if (follow) this.#options.relayed(follow.channel, fields.rest(), trace);
        break;
      }
      case frameTypes.followed: {
        const follow = this.#byId.get(fields.u48());
        if (!follow) break;
        follow.isLive = true;
        const waiting = [...follow.waiting];
        follow.waiting.clear();
        for (const known of waiting) known();
        break;
      }
      case frameTypes.engine:
        this.#awaySince = fields.u8() === 1 ? null : (this.#awaySince ?? performance.now());
        if (this.isAway) this.#options.away();
        break;
      default:
        throw new FrameError(`frame type ${type} is unknown`);
    }
  }
}
