/**
 * The side of the broker of its links: takes appends and subscriptions from the workers, passes batches to the
 * engine, and delivers stored publications to each worker, once and in the order of offsets. It runs no user code and
 * never waits for a slow worker: the link of a slow worker is skipped, and gets the missed publications from the
 * history later.
 */
import { stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { FlushScheduler } from '../platform/flush-scheduler.ts';
import { messageOf } from '../platform/errors.ts';
import type { EngineDownPolicy } from '../config/engine-settings.ts';
import type { Log } from '../platform/log.ts';
import type { Append, Appended, Engine, Position, Range, SharedEngine } from '../engine/engine.ts';
import { BrokerCounters } from '../metrics/broker-metrics.ts';
import { Deliveries, maxReadBytes, type WorkerLink } from './deliveries.ts';
import { Followers } from './followers.ts';
import { Presence } from './presence.ts';
import { appendFlags, frameTypes, pageDirections } from '../relay/broker-link/frame.ts';
import type { Fields } from '../relay/broker-link/frame-reader.ts';
import { FrameSocket } from '../relay/broker-link/frame-socket.ts';
import { FrameError } from '../relay/mesh/frame-decoder.ts';

export interface BrokerServerOptions {
  path: string;
  hubId: string;
  log: Log;
  /** the engine that other machines use too; null: there are none */
  shared?: SharedEngine | null;
  /** see EngineDownPolicy */
  down?: EngineDownPolicy;
  /** ids of the workers that were linked to the broker of before */
  workers: readonly string[];
  /** most bytes that may wait for one worker before its link is behind */
  maxBufferedBytes?: number;
}

/** An append and its link. */
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
  readonly #presence: Presence;
  /** null: there are no other machines */
  readonly #followers: Followers | null;
  readonly #scheduler = new FlushScheduler(() => {
    void this.#publish();
    this.#flushLinks();
    return Infinity;
  });
  #isChecking = false;
  /** appends that were received in this turn */
  #arrivals: Arrival[] = [];
  /** set by `listen`, before the first link */
  #engine!: Engine;

  constructor(options: BrokerServerOptions) {
    this.#options = options;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? defaultMaxBufferedBytes;
    const shared = {
      wake: () => {
        this.#scheduler.request();
      },
      maxBufferedBytes: this.#maxBufferedBytes,
      counters: this.counters,
    };
    const { shared: engine = null, down } = options;
    const unused = (channel: string) => {
      if (engine && !this.isUsed(channel)) engine.unsubscribe(channel);
    };
    this.#deliveries = new Deliveries({
      history: (channel, range) => this.#engine.history(channel, range),
      listen: engine && ((channel) => engine.subscribe(channel)),
      unused,
      ...shared,
    });
    this.#followers = engine && new Followers({ engine, unused, isLocal: down !== 'refuse', ...shared });
    this.#presence = new Presence({ expected: options.workers, ...shared });
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
  }

  /** Accepts links. Rejects if the socket cannot be created. */
  async listen(engine: Engine): Promise<void> {
    this.#engine = engine;
    await this.#listen();
  }

  /** Number of linked workers. */
  get links(): number {
    return [...this.#links].filter(({ life }) => life !== '').length;
  }

  /** Number of bytes that are buffered for all workers. */
  get bufferedBytes(): number {
    return [...this.#links].reduce((sum, { socket }) => sum + socket.bufferedBytes, 0);
  }

  /** Number of members of all channels. */
  get presenceEntries(): number {
    return this.#presence.entries;
  }

  /** A worker process has ended. */
  workerGone(workerId: string): void {
    this.#presence.gone(workerId);
  }

  /** Returns whether a worker has subscribed to the channel. */
  isUsed(channel: string): boolean {
    return this.#deliveries.isUsed(channel) || this.#followers?.isUsed(channel) === true;
  }

  /** Delivers a publication of another machine to a channel without history. */
  relayed(channel: string, payload: Buffer, trace: Buffer): void {
    this.#followers?.relayed(channel, payload, trace);
  }

  /** The engine has become reachable or unreachable. Informs the workers, and sends missed publications. */
  engineChanged(): void {
    for (const link of this.#links) if (link.life !== '') this.#tellEngine(link);
    this.#scheduler.request();
    if (this.#options.shared?.isUp !== true) return;
    this.#followers?.up();
    this.#deliveries.retry();
    void this.checkPositions(0);
  }

  /**
   * Sends publications that PUB/SUB has lost.
   * @param graceMs how long publications may be under way
   */
  async checkPositions(graceMs: number): Promise<void> {
    const { shared } = this.#options;
    if (shared?.isUp !== true || this.#isChecking) return;
    this.#isChecking = true;
    await this.#deliveries.check((channels) => shared.tops(channels), graceMs).catch(() => undefined); // the engine is not reached: the next connection begins with a check
    this.#isChecking = false;
  }

  /** Checks all links for drained buffers, because not every drain causes an event. Called every second. */
  tick(): void {
    for (const link of this.#links) this.#drained(link);
  }

  /** Creates the socket file again if it was removed, so that later workers can link. */
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

  /** Delivers a stored publication; see EngineEvents. */
  deliver(append: Append, position: Position, time: number): void {
    this.#deliveries.deliver(append, position, time);
    this.#scheduler.request();
  }

  /** Stores and acknowledges the received appends, and closes all links. */
  async close(): Promise<void> {
    this.#server.close();
    this.#presence.close();
    if (this.#options.shared?.isUp === false) void this.#publish();
    else await this.#publish();
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
    this.#followers?.closed(link);
    this.#presence.closed(link);
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
      case frameTypes.enter:
        this.#presence.enter(link, fields.u48(), fields.u8(), fields.text8('utf8'), fields.member());
        break;
      case frameTypes.leave:
        void this.#publish(); // what a member has sent precedes the notice that it has left
        this.#presence.leave(link, fields.u48());
        break;
      case frameTypes.told:
        this.#presence.told(link);
        break;
      case frameTypes.watch:
        this.#presence.watch(link, fields.u48(), fields.restText('utf8'));
        break;
      case frameTypes.unwatch:
        this.#presence.unwatch(link, fields.u48());
        break;
      case frameTypes.handles:
        this.#presence.events.handles(link, fields.u8() === 1);
        break;
      case frameTypes.handled:
        this.#presence.events.handled(link, fields.u48());
        break;
      case frameTypes.members:
        this.#presence.list(link, fields.u48(), fields.u32(), fields.restText('utf8'));
        break;
      case frameTypes.follow:
        this.#followers?.follow(link, fields.u48(), fields.restText('utf8'));
        break;
      case frameTypes.unfollow:
        this.#followers?.unfollow(link, fields.u48());
        break;
      case frameTypes.relay:
        this.#relay(fields);
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
    // A new link of the same process: the appends in the old one are sent again over this one.
    for (const other of this.#links) if (other.life === life) other.socket.destroy();
    link.life = life;
    link.workerId = workerId;
    link.socket.out.json('welcome', { hubId: this.#options.hubId });
    this.#tellEngine(link);
    this.#scheduler.request();
  }

  /** A worker takes the engine to be reached until it is told otherwise. */
  #tellEngine({ socket }: WorkerLink): void {
    const { shared } = this.#options;
    if (shared) socket.out.engine(shared.isUp);
  }

  #relay(fields: Fields): void {
    const [channel, trace] = [fields.text8('utf8'), fields.bytes8()];
    this.#options.shared?.relay(channel, fields.rest(), trace);
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
    const [limit, limitBytes] = [fields.u32(), Math.min(fields.u32(), maxReadBytes)];
    const page = pageOf(fields.u8());
    const range: Range = { since, limit, limitBytes, ...(page && { page }) };
    const channel = fields.restText('utf8');
    const read = async () => {
      void this.#publish(); // the answer must contain the earlier appends of this worker
      const page = await this.#engine.history(channel, range).catch(() => null);
      if (page === null) return; // the engine is not reached: the worker is told so
      link.socket.out.page(request, page);
      this.#scheduler.request();
    };
    if (link.waitingReads.length > 0 || link.socket.bufferedBytes > this.#maxBufferedBytes) {
      link.waitingReads.push(read);
    } else {
      void read();
    }
  }

  /** The buffer of the worker may have drained. */
  #drained(link: WorkerLink): void {
    void this.#deliveries.resume(link);
    this.#presence.drained(link);
    void this.#answerReads(link);
  }

  /** Answers the waiting reads in order, while the worker reads the answers. */
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
    void this.#engine.remove(channel).then(
      (top) => {
        link.socket.out.removed(request, top);
        this.#scheduler.request();
      },
      () => undefined, // the engine is not reached: the worker is told so
    );
  }

  /** Stores the received appends and acknowledges them. */
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
      if (link.isBehind || link.waitingReads.length > 0) this.#drained(link); // not every drain causes an event
    }
  }
}

function pageOf(direction: number): Range['page'] {
  if (direction === pageDirections.forward) return 'forward';
  return direction === pageDirections.reverse ? 'reverse' : undefined;
}
