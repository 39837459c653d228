/**
 * What this worker tells its siblings: the channels that it listens to, with the barrier, and how many connections it
 * has on each. Interest leaves with the turn in which it changed; where it goes on changing it rests a little, so that
 * joins share the wakes of the barrier. Counts leave once a second; a link that opens or recovers is told everything.
 */
import type { RelayChannel, RelayHost } from '../relay.ts';
import { Barrier } from './barrier.ts';
import type { Link, Peer } from './link.ts';
import { countsChunk, forgoneMs, maxInterestDelayMs } from './tuning.ts';

/** What is told, and how a flush is asked for. */
export type Interest = Pick<RelayHost, 'channels' | 'connections' | 'wake'>;

export class Announcer {
  readonly #own: Interest;
  readonly #peers: Iterable<Peer>;
  readonly #delayMs: number;
  readonly #barrier = new Barrier();
  /** the highest channel number that was announced */
  #announced = 0;
  /** up to which the siblings were asked for an ack */
  #asked = 0;
  /** before this moment of the monotonic clock no more acks are asked for */
  #delayedUntil = -Infinity;
  /** channels whose members changed since the last counts */
  readonly #changedCounts = new Set<RelayChannel>();
  #reportedConnections = 0;

  /** @param restMs how long new interest may wait for more, 5 milliseconds at most */
  constructor(own: Interest, peers: Iterable<Peer>, restMs: number) {
    this.#own = own;
    this.#peers = peers;
    this.#delayMs = Math.min(restMs, maxInterestDelayMs);
  }

  /** Tells of a channel that has its first local claim. */
  announce(channel: RelayChannel): void {
    this.#announced = channel.id;
    this.#barrier.announced(channel.id);
    for (const { link } of this.#peers) if (link?.writable) link.deferred.add(channel.id, channel.name);
    this.#own.wake();
  }

  /** Tells of a channel that has lost its last local member. */
  withdraw(channel: RelayChannel): void {
    this.#changedCounts.delete(channel);
    for (const { link } of this.#peers) if (link?.writable) link.deferred.drop(channel.id);
    this.#own.wake();
  }

  /** Tells that the channel's messages come too fast, or no longer. */
  hold(channel: RelayChannel): void {
    for (const { link } of this.#peers) {
      if (!link?.writable) continue;
      if (channel.congested) link.out.hold(channel.id);
      else link.out.release(channel.id);
    }
    this.#own.wake();
  }

  /** Calls `done` once every sibling sends the channel's messages here: at once if they all do. */
  whenKnown(channel: RelayChannel, done: () => void): void {
    this.#barrier.wait(channel.id, done);
  }

  /** A channel's members changed. */
  markChanged(channel: RelayChannel): void {
    this.#changedCounts.add(channel);
  }

  /**
   * Asks for acks of what was announced since they were last asked for; to be called before links are flushed.
   * @param now milliseconds of the monotonic clock; Infinity ends the rest
   * @returns milliseconds for which new interest rests; Infinity if there is none
   */
  sync(now: number): number {
    if (this.#announced === this.#asked) return Infinity;
    if (this.#delayedUntil > now) return this.#delayedUntil - now;
    this.#asked = this.#announced;
    let asked = false;
    for (const { link } of this.#peers) {
      if (!link?.writable) continue;
      link.out.sync(this.#announced);
      asked = true;
    }
    if (asked && now !== Infinity) {
      this.#delayedUntil = Math.max(this.#delayedUntil, now - forgoneMs) + this.#delayMs;
    }
    return Infinity;
  }

  /** From now on joins wait for this sibling too. */
  linked({ workerId }: Peer, link: Link): void {
    this.#barrier.require(workerId);
    this.sendAll(link);
  }

  acked({ workerId }: Peer, sequence: number): void {
    this.#barrier.ack(workerId, sequence);
  }

  /** Nothing has come of the sibling for so long that joins do not wait for it; see mesh.ts. */
  suspect({ workerId }: Peer): void {
    this.#barrier.suspect(workerId);
  }

  trust({ workerId }: Peer): void {
    this.#barrier.trust(workerId);
  }

  /** The sibling is gone for good: nobody waits for it any more. */
  forgotten({ workerId }: Peer): void {
    this.#barrier.forget(workerId);
  }

  /** Tells the sibling everything. */
  sendAll(link: Link): void {
    const channels = [...this.#own.channels()];
    link.out.begin();
    for (const { id, name, congested } of channels) {
      link.out.add(id, name);
      if (congested) link.out.hold(id);
    }
    link.out.sync(this.#announced);
    this.#counts(link, channels);
    this.#own.wake();
  }

  /** Tells what has changed in the counts. */
  sendCounts(): void {
    const connections = this.#own.connections();
    if (this.#changedCounts.size === 0 && connections === this.#reportedConnections) return;
    this.#reportedConnections = connections;
    const channels = [...this.#changedCounts];
    this.#changedCounts.clear();
    for (const { link } of this.#peers) if (link?.writable) this.#counts(link, channels);
    this.#own.wake();
  }

  #counts(link: Link, channels: readonly RelayChannel[]): void {
    let start = 0;
    do {
      const chunk = channels.slice(start, start + countsChunk);
      link.out.counts(
        this.#own.connections(),
        chunk.map(({ id, members }) => [id, members.size] as const),
      );
      start += countsChunk;
    } while (start < channels.length);
  }
}
