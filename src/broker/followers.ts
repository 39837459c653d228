/**
 * The workers that follow channels without history, and what other machines publish there. Each publication is delivered at
 * most once, in the order in which the engine received it.
 */
import type { SharedEngine } from '../engine/engine.ts';
import type { BrokerCounters } from '../metrics/broker-metrics.ts';
import type { WorkerLink } from './deliveries.ts';

export interface FollowersOptions {
  engine: Pick<SharedEngine, 'subscribe'>;
  /** called when a channel has lost its last follower */
  unused: (channel: string) => void;
  /** joins do not wait while the engine is not reached */
  isLocal: boolean;
  /** requests a flush of the links */
  wake: () => void;
  /** most bytes that may wait for one worker before it misses publications */
  maxBufferedBytes: number;
  counters: BrokerCounters;
}

interface Follower {
  readonly id: number;
  readonly channel: string;
  readonly link: WorkerLink;
  /** the worker waits for the answer */
  isWaiting: boolean;
}

export class Followers {
  readonly #options: FollowersOptions;
  readonly #channels = new Map<string, Set<Follower>>();
  readonly #links = new Map<WorkerLink, Map<number, Follower>>();

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  isUsed(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** The worker has subscribers. It is answered when the publications of all machines reach it. */
  follow(link: WorkerLink, id: number, channel: string): void {
    const follower: Follower = { id, channel, link, isWaiting: true };
    const own = this.#links.get(link) ?? new Map<number, Follower>();
    this.#links.set(link, own.set(id, follower));
    let followers = this.#channels.get(channel);
    if (!followers) this.#channels.set(channel, (followers = new Set()));
    followers.add(follower);
    this.#subscribe(follower);
  }

  unfollow(link: WorkerLink, id: number): void {
    const own = this.#links.get(link);
    const follower = own?.get(id);
    if (!own || !follower) return;
    own.delete(id);
    follower.isWaiting = false;
    const followers = this.#channels.get(follower.channel);
    followers?.delete(follower);
    if (followers?.size !== 0) return;
    this.#channels.delete(follower.channel);
    this.#options.unused(follower.channel);
  }

  closed(link: WorkerLink): void {
    for (const id of [...(this.#links.get(link)?.keys() ?? [])]) this.unfollow(link, id);
    this.#links.delete(link);
  }

  /** The engine is reached again: workers that wait are answered. */
  up(): void {
    for (const own of this.#links.values()) {
      for (const follower of own.values()) if (follower.isWaiting) this.#subscribe(follower);
    }
  }

  /** Delivers a publication of another machine. */
  relayed(channel: string, payload: Buffer, trace: Buffer): void {
    const { maxBufferedBytes, counters, wake } = this.#options;
    const followers = this.#channels.get(channel);
    if (!followers) return;
    for (const { id, link } of followers) {
      if (link.socket.bufferedBytes > maxBufferedBytes) counters.droppedForWorker += 1;
      else link.socket.out.relayed(id, trace, payload);
    }
    wake();
  }

  #subscribe(follower: Follower): void {
    const { engine, isLocal, wake } = this.#options;
    const answer = () => {
      if (!follower.isWaiting || follower.link.isClosed) return;
      follower.isWaiting = false;
      follower.link.socket.out.followed(follower.id);
      wake();
    };
    engine.subscribe(follower.channel).then(answer, () => {
      if (isLocal) answer(); // otherwise `up` follows
    });
  }
}
