/**
 * The broker's side of the links: takes appends and interest from the workers, hands batches to the engine, and delivers
 * what the engine has stored, to each worker once and in the order of offsets. Runs no user code, never waits for a
 * slow worker: one that does not read gets nothing more for now, and later what it missed, from the history.
 */
import { stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { FlushScheduler } from '../platform/flush-scheduler.ts';
import { messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Append, Appended, Engine, Position } from '../engine/engine.ts';
import { BrokerCounters } from '../metrics/broker-metrics.ts';
import { Deliveries, maxReadBytes, type WorkerLink } from './deliveries.ts';
import { appendFlags, frameTypes } from '../relay/broker-link/frame.ts';
import type { Fields } from '../relay/broker-link/frame-reader.ts';
import { FrameSocket } from '../relay/broker-link/frame-socket.ts';
import { FrameError } from '../relay/mesh/frame-decoder.ts';

export interface BrokerServerOptions {
  path: string;
  hubId: string;
  log: Log;
  /** Bytes that may wait for one worker before it is left behind. */
  maxBufferedBytes?: number;
}

/** An append and where it came from. */
interface Arrival {
  readonly append: Append;
  readonly link: WorkerLink;
  readonly wantsPosition: boolean;
}

const helloShape = z.object({ hubId: z.string(), workerId: z.string(), life: z.string().min(1).max(32) });
const defaultMaxBufferedBytes = 16 * 1024 * 1024;
export class BrokerServer {
  readonly counters = new BrokerCounters();
  readonly #options: BrokerServerOptions;
  readonly #maxBufferedBytes: number;
  readonly #server: Server;
  readonly #links = new Set<WorkerLink>();
  readonly #deliveries: Deliveries;
  readonly #scheduler = new FlushScheduler(() => {
    void this.#publish();
    this.#flushLinks();
    return Infinity;
  });
  /** appends of this turn */
  #arrivals: Arrival[] = [];
  /** set by `listen`; nothing comes before */
  #engine!: Engine;

  constructor(options: BrokerServerOptions) {
    this.#options = options;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? defaultMaxBufferedBytes;
    this.#deliveries = new Deliveries({
      history: (channel, range) => this.#engine.history(channel, range),
      wake: () => {
        this.#scheduler.request();
      },
      maxBufferedBytes: this.#maxBufferedBytes,
      counters: this.counters,
    });
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
  }

  /** Takes links from now on. Rejects where the socket cannot be made. */
  async listen(engine: Engine): Promise<void> {
    this.#engine = engine;
    await this.#listen();
  }

  /** Workers that are linked. */
  get links(): number {
    return [...this.#links].filter(({ life }) => life !== '').length;
  }

  /** Bytes that wait for workers. */
  get bufferedBytes(): number {
    return [...this.#links].reduce((sum, { socket }) => sum + socket.bufferedBytes, 0);
  }

  /** Some worker listens to the channel. */
  isUsed(channel: string): boolean {
    return this.#deliveries.isUsed(channel);
  }

  /** Sees to workers that have read without a word of the socket. To be called every second. */
  tick(): void {
    for (const link of this.#links) this.#drained(link);
  }

  /** Makes the socket file anew if somebody has removed it: workers that start later could not link. */
  async keepSocketFile(): Promise<void> {
    const { path, log } = this.#options;
    const exists = await stat(path).then(
      () => true,
      (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
    );
    if (exists) return;
    log.warn({ path }, 'the socket of the broker was removed; listening anew');
    this.#server.close();
    await this.#listen().catch((error: unknown) => {
      log.error({ path, reason: messageOf(error) }, 'the socket of the broker cannot be made');
    });
  }

  /** Delivers what the engine has stored; see EngineEvents. */
  deliver(append: Append, position: Position, time: number): void {
    this.#deliveries.deliver(append, position, time);
  }

  /** Stores what has come, says so, and ends all links. */
  async close(): Promise<void> {
    this.#server.close();
    await this.#publish();
    this.#flushLinks();
    for (const { socket } of this.#links) socket.destroy();
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  #accept(connection: Socket): void {
    const socket = new FrameSocket(connection, {
      frame: (type, fields) => {
        this.#frame(link, type, fields);
      },
      drained: () => {
        this.#drained(link);
      },
      closed: (error) => {
        this.#closed(link, error);
      },
    });
    const link: WorkerLink = {
      socket,
      life: '',
      workerId: '',
      subscriptions: new Map(),
      isBehind: false,
      toAcknowledge: 0,
      waitingReads: [],
      isClosed: false,
    };
    this.#links.add(link);
  }

  #closed(link: WorkerLink, error: Error | undefined): void {
    const { log } = this.#options;
    link.isClosed = true;
    this.#links.delete(link);
    this.#deliveries.closed(link);
    const level = error instanceof FrameError ? 'warn' : 'debug';
    log[level]({ workerId: link.workerId, reason: error?.message ?? 'closed' }, 'link of a worker closed');
  }

  #frame(link: WorkerLink, type: number, fields: Fields): void {
    if ((type === frameTypes.hello) !== (link.life === ''))
      throw new FrameError('a hello must come first, and once');
    switch (type) {
      case frameTypes.append:
        this.#append(link, fields);
        break;
      case frameTypes.subscribe:
        this.#deliveries.subscribe(link, fields.u48(), fields.optionalPosition(), fields.restText('utf8'));
        break;
      case frameTypes.unsubscribe:
        this.#deliveries.unsubscribe(link, fields.u48());
        break;
      case frameTypes.read:
        this.#read(link, fields);
        break;
      case frameTypes.remove:
        this.#remove(link, fields);
        break;
      case frameTypes.hello:
        this.#hello(link, fields);
        break;
      default:
        throw new FrameError(`frame type ${type} is unknown`);
    }
  }

  #hello(link: WorkerLink, fields: Fields): void {
    const hello = helloShape.safeParse(fields.json());
    if (!hello.success || hello.data.hubId !== this.#options.hubId) {
      throw new FrameError('a hello that is not for this broker');
    }
    const { life, workerId } = hello.data;
    // A new link of the same process: what is left in the old one is sent again over this one.
    for (const other of this.#links) if (other.life === life) other.socket.destroy();
    link.life = life;
    link.workerId = workerId;
    link.socket.out.json('welcome', { hubId: this.#options.hubId });
    this.#scheduler.request();
  }

  #append(link: WorkerLink, fields: Fields): void {
    const number = fields.u48();
    const wantsPosition = (fields.u8() & appendFlags.wantsPosition) !== 0;
    const append: Append = {
      worker: link.life,
      number,
      sender: fields.u48(),
      readAt: fields.f64(),
      channel: fields.text8('utf8'),
      key: fields.text8('utf8'),
      meta: fields.bytes16(),
      trace: fields.bytes8(),
      payload: fields.rest(),
    };
    this.#arrivals.push({ append, link, wantsPosition });
    this.#scheduler.request();
  }

  #read(link: WorkerLink, fields: Fields): void {
    const [request, since] = [fields.u48(), fields.optionalPosition()];
    const range = { since, limit: fields.u32(), limitBytes: Math.min(fields.u32(), maxReadBytes) };
    const channel = fields.restText('utf8');
    const read = async () => {
      void this.#publish(); // what this worker has appended before it asks is in the answer
      link.socket.out.page(request, await this.#engine.history(channel, range));
      this.#scheduler.request();
    };
    if (link.waitingReads.length > 0 || link.socket.bufferedBytes > this.#maxBufferedBytes) {
      link.waitingReads.push(read);
    } else {
      void read();
    }
  }

  /** The worker may have read what waited for it. */
  #drained(link: WorkerLink): void {
    void this.#deliveries.resume(link);
    void this.#answerReads(link);
  }

  /** Answers one question after the other, as long as the worker reads the answers. */
  async #answerReads(link: WorkerLink): Promise<void> {
    while (!link.isClosed && link.socket.bufferedBytes <= this.#maxBufferedBytes) {
      const read = link.waitingReads.shift();
      if (!read) return;
      await read();
    }
  }

  #remove(link: WorkerLink, fields: Fields): void {
    const [request, channel] = [fields.u48(), fields.restText('utf8')];
    void this.#publish();
    void this.#engine.remove(channel).then((top) => {
      link.socket.out.removed(request, top);
      this.#scheduler.request();
    });
  }

  /** Stores what has come, and acknowledges it. */
  async #publish(): Promise<void> {
    const arrivals = this.#arrivals;
    if (arrivals.length === 0) return;
    this.#arrivals = [];
    const results = await this.#engine.publish(arrivals.map(({ append }) => append));
    for (const [index, { append, link, wantsPosition }] of arrivals.entries()) {
      const result = results[index];
      if (wantsPosition && result) this.#placed(link, append.number, result);
      link.toAcknowledge = append.number;
    }
    this.#scheduler.request();
  }

  #placed(link: WorkerLink, number: number, { position, duplicate }: Appended): void {
    link.socket.out.placed(number, position, duplicate);
  }

  #flushLinks(): void {
    for (const link of this.#links) {
      if (link.toAcknowledge > 0) link.socket.out.appended(link.toAcknowledge);
      link.toAcknowledge = 0;
      link.socket.flush();
      if (link.isBehind || link.waitingReads.length > 0) this.#drained(link); // there may be no event of it
    }
  }
}
