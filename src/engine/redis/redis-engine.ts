/**
 * The engine of hubs on several machines, in one Redis or Valkey server: streams as lists, positions bound to the
 * replication id of the server, publications over PUB/SUB. Scripts give an offset, store and publish in one step, so
 * all machines see one order.
 *
 * It keeps one pair of connections and opens the next one when it fails or is silent. What it promises meanwhile: an
 * append is stored once, a read fails, and a publication that PUB/SUB has lost leaves a hole that the reader sees.
 */
import { randomBytes } from 'node:crypto';
import { EngineCounters } from '../../metrics/broker-metrics.ts';
import { backoffMs, jittered } from '../../platform/backoff.ts';
import { messageOf } from '../../platform/errors.ts';
import type {
  Append,
  Appended,
  HistoryRule,
  Page,
  Position,
  Range,
  SharedEngine,
  SharedEngineEvents,
} from '../engine.ts';
import { Connection, type RedisAddress, type Reply } from './connection.ts';
import { livePart, parseElement, parseMessage, relayedMessage, storedPart } from './message.ts';
import { Publisher } from './publisher.ts';
import { Subscriptions } from './subscriptions.ts';
import {
  beatMs,
  keyTtlMs,
  leaseMs,
  maxRelayedBytes,
  reconnect,
  silenceMs,
  stableMs,
  workerTtlMs,
} from './tuning.ts';

export interface RedisOptions extends RedisAddress {
  /** begins all names of this hub in the server */
  readonly prefix: string;
  /** identifies this machine among those that share the server */
  readonly machine: string;
  /** Returns the history rule of the namespace of a channel. */
  rule: (channel: string) => HistoryRule;
  events: SharedEngineEvents;
}

export class RedisEngine implements SharedEngine {
  readonly counters = new EngineCounters();
  readonly #options: RedisOptions;
  readonly #publisher: Publisher;
  readonly #subscriptions: Subscriptions;
  /** PUB/SUB channels of this machine and of all machines: probes, and messages of machines as `machine message` */
  readonly #control: Buffer;
  readonly #controlOfAll: Buffer;
  readonly #channelPrefixBytes: number;
  /** null: there is none that can be used */
  #connection: Connection | null = null;
  #failures = 0;
  #upSince = 0;
  #retry: NodeJS.Timeout | undefined;
  #beat: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** the last probe, and when it was sent; null: it came back */
  #probe: { readonly id: string; readonly sentAt: number } | null = null;
  #relayedBytes = 0;
  #checkedAt = performance.now();
  #machines: readonly string[] = [];

  constructor(options: RedisOptions) {
    this.#options = options;
    const { prefix, machine } = options;
    this.#publisher = new Publisher((batch) => this.#store(batch));
    this.#subscriptions = new Subscriptions(`${prefix}:c:`);
    this.#channelPrefixBytes = Buffer.byteLength(`${prefix}:c:`);
    this.#control = Buffer.from(`${prefix}:control:${machine}`);
    this.#controlOfAll = Buffer.from(`${prefix}:control`);
  }

  get isUp(): boolean {
    return this.#connection !== null;
  }

  get machines(): readonly string[] {
    return this.#machines;
  }

  /** Number of appends that are not stored. */
  get waiting(): number {
    return this.#publisher.length;
  }

  /** Number of subscribed channels. */
  get subscribed(): number {
    return this.#subscriptions.size;
  }

  /** Opens the connections, and new ones whenever they fail, until `close`. */
  start(): void {
    this.#watch = setInterval(() => {
      this.#check(performance.now());
    }, 1_000);
    void this.#connect();
  }

  publish(batch: readonly Append[]): Promise<readonly Appended[]> {
    return this.#publisher.publish(batch);
  }

  async history(channel: string, range: Range): Promise<Page> {
    await this.#publisher.settled();
    const { since, limit, limitBytes, page = '' } = range;
    const { historyTtlMs, historyMetaTtlMs } = this.#options.rule(channel);
    const [news, failovers, expired, epoch, top, complete, more, ...messages] = listOf(
      await this.#usable.run(
        'read',
        [this.#key('m', channel), this.#key('l', channel)],
        [
          freshEpoch(),
          String(historyTtlMs),
          String(historyMetaTtlMs),
          since === null ? '' : since.epoch || '-', // no epoch is so short
          String(since?.offset ?? 0),
          String(limit),
          String(limitBytes),
          page,
        ],
      ),
    );
    this.#countEpochs(news, failovers);
    this.counters.trimmed.ttl += Number(expired);
    const found: Page = {
      top: { epoch: String(epoch), offset: Number(String(top)) },
      complete: complete === 1,
      messages: messages.map((message) => parseElement(message as Buffer)),
    };
    return range.page ? { ...found, more: more === 1 } : found;
  }

  async remove(channel: string): Promise<Position> {
    await this.#publisher.settled();
    const [news, failovers, removed, epoch, top] = listOf(
      await this.#usable.run(
        'remove',
        [this.#key('m', channel), this.#key('l', channel)],
        [freshEpoch(), String(this.#options.rule(channel).historyMetaTtlMs)],
      ),
    );
    this.#countEpochs(news, failovers);
    this.counters.trimmed.removed += Number(removed);
    return { epoch: String(epoch), offset: Number(String(top)) };
  }

  subscribe(channel: string): Promise<void> {
    return this.#subscriptions.subscribe(channel);
  }

  unsubscribe(channel: string): void {
    this.#subscriptions.unsubscribe(channel, performance.now());
  }

  relay(channel: string, payload: Buffer, trace: Buffer): void {
    const connection = this.#connection;
    if (!connection || this.#relayedBytes > maxRelayedBytes) {
      this.counters.dropped[connection ? 'queue_full' : 'engine_down'] += 1;
      return;
    }
    const message = relayedMessage(this.#options.machine, payload, trace);
    this.#relayedBytes += message.length;
    connection
      .command(['PUBLISH', this.#key('c', channel), message])
      .catch(() => {
        this.counters.dropped.engine_down += 1;
      })
      .finally(() => {
        this.#relayedBytes -= message.length;
      });
  }

  async tops(channels: readonly string[]): Promise<readonly (Position | null)[]> {
    const found = listOf(
      await this.#usable.run(
        'tops',
        channels.map((channel) => this.#key('m', channel)),
        [],
      ),
    );
    return channels.map((_, index) => {
      const epoch = String(found[2 * index]);
      return epoch === '' ? null : { epoch, offset: Number(String(found[2 * index + 1])) };
    });
  }

  async broadcast(message: string): Promise<readonly string[]> {
    const { prefix, machine } = this.#options;
    const connection = this.#usable;
    const [machines] = await Promise.all([
      connection.command(['ZRANGE', `${prefix}:machines`, '0', '-1']),
      connection.command(['PUBLISH', this.#controlOfAll, `${machine} ${message}`]),
    ]);
    return listOf(machines)
      .map(String)
      .filter((one) => one !== machine);
  }

  send(to: string, message: string): void {
    const { prefix, machine } = this.#options;
    this.#connection
      ?.command(['PUBLISH', `${prefix}:control:${to}`, `${machine} ${message}`])
      .catch(() => undefined); // the connection is closed: that machine waits in vain
  }

  /** Gives up the lease, waits for the appends on their way, for at most a second, and closes the connections. */
  async close(): Promise<void> {
    const timeout = new Promise<void>((resolve) => setTimeout(resolve, 1_000).unref());
    clearInterval(this.#beat);
    const { prefix, machine } = this.#options;
    const left = this.#connection?.command(['ZREM', `${prefix}:machines`, machine]);
    const ends = Promise.all([left, this.#publisher.settled()]).catch(() => undefined);
    if (this.isUp) await Promise.race([ends, timeout]);
    this.kill();
  }

  /** Closes the connections at once. */
  kill(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    clearInterval(this.#beat);
    this.#connection?.close('closed');
  }

  /** @throws {Error} there is no connection */
  get #usable(): Connection {
    if (!this.#connection) throw new Error('no connection to Redis');
    return this.#connection;
  }

  #key(kind: 'c' | 'l' | 'm', channel: string): string {
    return `${this.#options.prefix}:${kind}:${channel}`;
  }

  async #connect(): Promise<void> {
    let opened: Connection | null = null;
    const closed = { reason: '' };
    try {
      const connection = await Connection.open(this.#options, {
        message: (channel, message) => {
          this.#message(channel, message);
        },
        closed: (reason) => {
          closed.reason ||= reason;
          if (this.#connection !== null && this.#connection === opened) this.#lost(reason);
        },
      });
      opened = connection;
      await connection.subscribe([this.#control.toString(), this.#controlOfAll.toString()]);
      await this.#subscriptions.restore(connection);
      if (this.#isClosed) throw new Error('closed');
    } catch (error) {
      opened?.close(messageOf(error));
      this.#subscriptions.lost(error as Error);
      this.counters.connects.failed += 1;
      this.#retryLater(closed.reason || messageOf(error));
      return;
    }
    this.counters.connects.ok += 1;
    this.#upSince = performance.now();
    this.#connection = opened;
    this.#probe = null;
    this.#sendBeat();
    this.#beat = setInterval(() => {
      this.#sendBeat();
    }, beatMs);
    this.#publisher.resume();
    this.#options.events.up();
  }

  #lost(reason: string): void {
    this.#connection = null;
    clearInterval(this.#beat);
    if (performance.now() - this.#upSince > stableMs) this.#failures = 0;
    const error = new Error(`no connection to Redis: ${reason}`);
    this.#publisher.pause(error);
    this.#subscriptions.lost(error);
    this.#retryLater(reason);
  }

  #retryLater(reason: string): void {
    if (this.#isClosed) return;
    this.#options.events.down(reason);
    this.#retry = setTimeout(
      () => {
        void this.#connect();
      },
      jittered(backoffMs(this.#failures++, reconnect)),
    );
  }

  async #store(batch: readonly Append[]): Promise<readonly Appended[]> {
    const { machine, prefix } = this.#options;
    const connection = this.#usable;
    const startedAt = performance.now();
    const workers = new Map<string, number>();
    for (const { worker } of batch) if (!workers.has(worker)) workers.set(worker, workers.size + 1);
    const keys = Array.from(workers.keys(), (worker) => `${prefix}:n:${worker}`);
    const args: (string | Buffer)[] = [
      String(workers.size),
      freshEpoch(),
      String(keyTtlMs),
      String(workerTtlMs),
    ];
    for (const append of batch) {
      const { channel, key, worker, number } = append;
      const rule = this.#options.rule(channel);
      const meta = this.#key('m', channel);
      // Channel names have no control characters. A key that stands for none must be allowed by an access list too.
      const idempotency = key === '' ? meta : `${prefix}:i:${channel}\n${key}`;
      keys.push(meta, this.#key('l', channel), this.#key('c', channel), idempotency);
      args.push(
        String(workers.get(worker)),
        String(number),
        String(rule.historySize),
        String(rule.historyTtlMs),
        String(rule.historyMetaTtlMs),
        key === '' ? '' : '1',
        storedPart(append),
        livePart(machine, append),
      );
    }
    const reply = await connection.run('publish', keys, args).catch((error: unknown) => {
      connection.close(`a batch failed: ${messageOf(error)}`); // sent again over the next connection
      throw error;
    });
    const [news, failovers, trimmed, ...answers] = listOf(reply);
    this.#countEpochs(news, failovers);
    this.counters.trimmed.size += Number(trimmed);
    this.counters.appendSeconds.observe((performance.now() - startedAt) / 1_000);
    this.counters.batchMessages.observe(batch.length);
    return batch.map((_, index) => this.#appended(answers.slice(3 * index, 3 * index + 3).map(String)));
  }

  #appended([kind, epoch = '', offset]: readonly string[]): Appended {
    const position = epoch === '' ? null : { epoch, offset: Number(offset) };
    if (kind === 'key' || kind === 'retry') {
      this.counters.duplicates[kind] += 1;
      return { position, duplicate: kind };
    }
    this.counters.appended += 1;
    return { position, duplicate: null };
  }

  #message(name: Buffer, bytes: Buffer): void {
    if (name.equals(this.#control) || name.equals(this.#controlOfAll)) {
      this.#controlled(bytes.toString());
      return;
    }
    const channel = name.toString('utf8', this.#channelPrefixBytes);
    const message = parseMessage(channel, bytes);
    const { events, machine } = this.#options;
    if (message === null) {
      this.counters.dropped.version += 1;
    } else if (message.kind === 'relayed') {
      if (message.machine === machine) this.counters.echoes += 1;
      else events.relayed(channel, message.payload, message.trace);
    } else {
      const { append, position, time } = message;
      // Clocks of other machines do not compare.
      const isOwn = message.machine === machine;
      events.publication(isOwn ? append : { ...append, readAt: 0 }, position, time);
    }
  }

  /** Takes a message of a control channel. */
  #controlled(text: string): void {
    const { events, machine } = this.#options;
    const end = text.indexOf(' ');
    if (end === -1) {
      if (this.#probe?.id === text) this.#probe = null;
    } else if (text.slice(0, end) !== machine) {
      events.control(text.slice(end + 1));
    }
  }

  /** Renews the lease, learns the machines, and probes both connections. */
  #sendBeat(): void {
    const connection = this.#connection;
    if (!connection) return;
    const { prefix, machine } = this.#options;
    const id = randomBytes(6).toString('base64url');
    this.#probe ??= { id, sentAt: performance.now() };
    connection
      .run(
        'beat',
        [`${prefix}:machines`, this.#control.toString()],
        [machine, String(leaseMs), this.#probe.id],
      )
      .then(
        (reply) => {
          this.#machines = listOf(reply).slice(1).map(String);
        },
        (error: unknown) => {
          connection.close(`a beat failed: ${messageOf(error)}`);
        },
      );
  }

  /** Closes silent connections, and unsubscribes unused channels. Called every second. */
  #check(now: number): void {
    this.#subscriptions.sweep(now);
    const connection = this.#connection;
    const wasBlocked = now - this.#checkedAt > silenceMs / 2; // this process itself: answers may be unread
    this.#checkedAt = now;
    if (!connection || wasBlocked) return;
    const isProbeLost = this.#probe !== null && now - this.#probe.sentAt > silenceMs;
    if (isProbeLost) connection.close('PUB/SUB does not deliver');
    else if (connection.silence(now) > silenceMs) connection.close('the server does not answer');
  }

  #countEpochs(news: Reply | undefined, failovers: Reply | undefined): void {
    this.counters.epochs.new += Number(news);
    this.counters.epochs.failover += Number(failovers);
  }
}

function freshEpoch(): string {
  return randomBytes(6).toString('base64url');
}

function listOf(reply: Reply): Reply[] {
  if (!Array.isArray(reply)) throw new Error('an unexpected answer of the server');
  return reply;
}
