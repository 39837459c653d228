/**
 * A pair of connections to a Redis or Valkey server: one for commands, one for PUB/SUB. It never reconnects: on the
 * first error both are closed, and `closed` is called once.
 */
import { readFileSync } from 'node:fs';
import { createClient, RESP_TYPES } from '@redis/client';
import { messageOf } from '../../platform/errors.ts';
import { scripts, type ScriptName } from './scripts.ts';
import { connectTimeoutMs } from './tuning.ts';

/** How to reach the server. */
export interface RedisAddress {
  /** `redis://` or `rediss://`, with user, port and database as needed */
  readonly url: string;
  /** null: it is in the URL, or there is none */
  readonly passwordFile: string | null;
  /** the authority of the server's certificate; null: those of the system */
  readonly tlsCaFile: string | null;
}

export interface ConnectionEvents {
  /** A message of a subscribed PUB/SUB channel. */
  message(channel: Buffer, message: Buffer): void;
  /** The connections are closed. The last call, once. */
  closed(reason: string): void;
}

type Argument = string | Buffer;

/** A reply with strings as Buffers. */
export type Reply = null | number | Buffer | Reply[];

/** Facts about the server for the log and for `wshub doctor`. */
export interface ServerFacts {
  readonly version: string;
  readonly role: string;
  readonly isCluster: boolean;
}

function open(address: RedisAddress) {
  const { url, passwordFile, tlsCaFile } = address;
  const socket = {
    connectTimeout: connectTimeoutMs,
    reconnectStrategy: false as const,
    keepAlive: true,
    keepAliveInitialDelay: 5_000,
  };
  return createClient({
    url,
    ...(passwordFile === null ? {} : { password: readFileSync(passwordFile, 'utf8').trim() }),
    socket: tlsCaFile === null ? socket : { ...socket, tls: true, ca: readFileSync(tlsCaFile) },
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    name: 'wshub',
    commandOptions: {
      // The library's own timeout costs more than the command; redis-engine.ts watches for silence. 0 would be at once.
      timeout: undefined as unknown as number,
      typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer },
    },
  });
}

type Client = ReturnType<typeof open>;

export class Connection {
  readonly #commands: Client;
  readonly #pubSub: Client;
  readonly #events: ConnectionEvents;
  readonly #digests = new Map<ScriptName, string>();
  readonly #awaited = { commands: new Awaited(), pubSub: new Awaited() };
  #isClosed = false;

  /** Rejects if one of the connections cannot be made, or the server must not be written to. */
  static async open(address: RedisAddress, events: ConnectionEvents): Promise<Connection> {
    const connection = new Connection(address, events);
    await connection.#start();
    return connection;
  }

  private constructor(address: RedisAddress, events: ConnectionEvents) {
    this.#events = events;
    this.#commands = open(address);
    this.#pubSub = open(address);
    for (const client of [this.#commands, this.#pubSub]) {
      client.on('error', (error: unknown) => {
        this.close(messageOf(error) || 'the connection was lost');
      });
      client.on('end', () => {
        this.close('the connection was closed');
      });
    }
  }

  /** For how long the server has owed an answer and sent none, in milliseconds. */
  silence(now: number): number {
    const { commands, pubSub } = this.#awaited;
    return Math.max(commands.silence(now), pubSub.silence(now));
  }

  async facts(): Promise<ServerFacts> {
    const info = String(await this.command(['INFO']));
    const fields = new Map(info.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
    const version = fields.get('valkey_version') ?? fields.get('redis_version') ?? '';
    return { version, role: fields.get('role') ?? '', isCluster: fields.get('cluster_enabled') === '1' };
  }

  /** Runs a script. The library sends all commands of a turn in one write, in order. */
  run(name: ScriptName, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    return this.command(['EVALSHA', this.#digests.get(name) ?? '', String(keys.length), ...keys, ...args]);
  }

  command(args: Argument[]): Promise<Reply> {
    return this.#awaited.commands.of(this.#commands.sendCommand<Reply>(args));
  }

  /** Resolves when the server has confirmed the subscriptions. */
  subscribe(channels: string[]): Promise<void> {
    return this.#awaited.pubSub.of(this.#pubSub.subscribe(channels, this.#onMessage, true));
  }

  unsubscribe(channels: string[]): Promise<void> {
    return this.#awaited.pubSub.of(this.#pubSub.unsubscribe(channels, this.#onMessage, true));
  }

  /** Closes both connections; unanswered commands are rejected. */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const client of [this.#commands, this.#pubSub]) if (client.isOpen) client.destroy();
    this.#events.closed(reason);
  }

  async #start(): Promise<void> {
    try {
      await Promise.all([this.#commands.connect(), this.#pubSub.connect()]);
      const { role, isCluster } = await this.facts();
      if (isCluster) throw new Error('the server is part of a Redis Cluster, which is not supported');
      if (role !== 'master') throw new Error(`the server is a ${role}; the hub needs the primary`);
      for (const name of Object.keys(scripts) as ScriptName[]) {
        this.#digests.set(name, String(await this.command(['SCRIPT', 'LOAD', scripts[name]])));
      }
    } catch (error) {
      this.close(messageOf(error));
      throw error;
    }
  }

  readonly #onMessage = (message: Buffer, channel: Buffer): void => {
    this.#events.message(channel, message);
  };
}

/** The unanswered commands of one connection. */
class Awaited {
  #count = 0;
  /** when the last answer came, or the first of the unanswered commands was sent */
  #heardAt = 0;

  silence(now: number): number {
    return this.#count === 0 ? 0 : now - this.#heardAt;
  }

  async of<T>(answer: Promise<T>): Promise<T> {
    if (this.#count++ === 0) this.#heardAt = performance.now();
    try {
      return await answer;
    } finally {
      this.#count -= 1;
      this.#heardAt = performance.now();
    }
  }
}
