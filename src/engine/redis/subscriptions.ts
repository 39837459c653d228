/**
 * The PUB/SUB channels of this machine: each is subscribed once, in chunks, and again over each new connection. A channel
 * without subscribers stays subscribed for a while.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { subscribeChunk, unsubscribeDelayMs } from './tuning.ts';

interface Entry {
  /** confirmed over the current connection */
  isConfirmed: boolean;
  waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[];
  /** when it lost its last subscriber, in milliseconds of the monotonic clock; null: it has some */
  unusedSince: number | null;
}

export class Subscriptions {
  readonly #prefix: string;
  readonly #channels = new Map<string, Entry>();
  /** channels to subscribe at the end of this turn */
  #wanted: string[] = [];
  #connection: Connection | null = null;
  /** the last unsubscription; subscriptions of the same channels follow it */
  #unsubscribing = false;

  /** @param prefix of the names of PUB/SUB channels */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get size(): number {
    return this.#channels.size;
  }

  /** Resolves when every later message of the channel is received. Rejects when the connection is lost before. */
  subscribe(channel: string): Promise<void> {
    const found = this.#channels.get(channel);
    if (found) found.unusedSince = null;
    if (found?.isConfirmed === true) return Promise.resolve();
    const entry = found ?? { isConfirmed: false, waiting: [], unusedSince: null };
    if (!found) {
      this.#channels.set(channel, entry);
      this.#want(channel);
    }
    const connection = this.#connection;
    if (connection === null) return Promise.reject(new Error('no connection to Redis'));
    return new Promise((resolve, reject) => entry.waiting.push({ resolve, reject }));
  }

  /** The channel has no subscribers. */
  unsubscribe(channel: string, now: number): void {
    const entry = this.#channels.get(channel);
    if (entry) entry.unusedSince ??= now;
  }

  /** Unsubscribes channels that have been without subscribers for long enough. */
  sweep(now: number): void {
    if (this.#unsubscribing) return;
    const unused: string[] = [];
    for (const [channel, { unusedSince, isConfirmed }] of this.#channels) {
      if (unusedSince === null || unusedSince + unsubscribeDelayMs > now) continue;
      if (this.#connection !== null && !isConfirmed) continue; // the answer is on its way
      this.#channels.delete(channel);
      if (isConfirmed) unused.push(channel);
    }
    if (unused.length > 0 && this.#connection) void this.#unsubscribe(this.#connection, unused);
  }

  /** Subscribes all channels over a new connection. Rejects if it is lost. */
  async restore(connection: Connection): Promise<number> {
    const channels = [...this.#channels.keys()];
    this.#wanted = [];
    this.#connection = connection;
    await this.#subscribe(connection, channels);
    return channels.length;
  }

  /** The connection is lost. */
  lost(reason: Error): void {
    this.#connection = null;
    for (const entry of this.#channels.values()) {
      entry.isConfirmed = false;
      for (const { reject } of entry.waiting.splice(0)) reject(reason);
    }
  }

  #want(channel: string): void {
    const connection = this.#connection;
    if (!connection) return; // `restore` follows
    this.#wanted.push(channel);
    if (this.#wanted.length > 1) return;
    setImmediate(() => {
      const wanted = this.#wanted.splice(0);
      this.#subscribe(connection, wanted).catch(() => undefined); // the connection is closed
    });
  }

  async #subscribe(connection: Connection, channels: readonly string[]): Promise<void> {
    for (let from = 0; from < channels.length; from += subscribeChunk) {
      const chunk = channels.slice(from, from + subscribeChunk);
      await connection.subscribe(chunk.map((channel) => this.#prefix + channel));
      if (this.#connection !== connection) return;
      this.#confirm(chunk);
      if (channels.length > subscribeChunk) await nextTurn();
    }
  }

  #confirm(channels: readonly string[]): void {
    for (const channel of channels) {
      const entry = this.#channels.get(channel);
      if (!entry) continue;
      entry.isConfirmed = true;
      for (const { resolve } of entry.waiting.splice(0)) resolve();
    }
  }

  async #unsubscribe(connection: Connection, channels: readonly string[]): Promise<void> {
    this.#unsubscribing = true;
    for (let from = 0; from < channels.length; from += subscribeChunk) {
      // A channel that is wanted again was subscribed behind its removal from the map: it must stay.
      const chunk = channels
        .slice(from, from + subscribeChunk)
        .filter((channel) => !this.#channels.has(channel));
      if (chunk.length === 0) continue;
      await connection.unsubscribe(chunk.map((channel) => this.#prefix + channel)).catch(() => undefined);
    }
    this.#unsubscribing = false;
  }
}
