/**
 * Announces the state of this worker to its siblings: the channels with local subscribers, through the barrier, and
 * the number of connections on each. New interest is sent at the end of the turn. If interest changes continuously,
 * it is delayed for a few ms, so that joins share the acks of the barrier. Counts are sent once a second. A link that
 * opens or recovers gets the complete state.
 */
import type { RelayChannel, RelayHost } from '../relay.ts';
import { Announcements } from './announcements.ts';
import { Barrier } from './barrier.ts';
import type { Link, Peer } from './link.ts';
import { countsChunk, forgoneMs, maxInterestDelayMs } from './tuning.ts';

/** The channels and counts to announce, and the request for a flush. */
export type Interest = Pick<RelayHost, 'channels' | 'connections' | 'wake'>;

export class Announcer {
  readonly #own: Interest;
  readonly #peers: Iterable<Peer>;
  readonly #delayMs: number;
  readonly #barrier = new Barrier();
  /** the highest channel number that was announced */
  #announced = 0;
  /** the highest channel number for which siblings were asked for an ack */
  #asked = 0;
  /** no ack is requested before this time of the monotonic clock */
  #delayedUntil = -Infinity;
  /** channels whose member count changed since the last report */
  readonly #changedCounts = new Set<RelayChannel>();
  #reportedConnections = 0;
  readonly #announcements: Announcements;

  /** @param batchDelayMs longest delay of new interest; above 5 ms it is reduced to 5 ms */
  constructor(own: Interest, peers: Iterable<Peer>, batchDelayMs: number) {
    this.#own = own;
    this.#peers = peers;
    this.#delayMs = Math.min(batchDelayMs, maxInterestDelayMs);
    this.#announcements = new Announcements({
      channels: () => own.channels(),
      wake: () => {
        own.wake();
      },
      counts: (link, channels) => {
        this.#counts(link, channels);
      },
      complete: (link) => {
        link.out.sync(this.#announced);
      },
    });
  }

  /** Announces a channel that got its first local reservation or member. */
  announce(channel: RelayChannel): void {
    this.#announced = channel.id;
    this.#barrier.announced(channel.id);
    for (const { link } of this.#peers) if (link?.writable) link.deferred.add(channel.id, channel.name);
    this.#own.wake();
  }

  /** Withdraws a channel that lost its last local member. */
  withdraw(channel: RelayChannel): void {
    this.#changedCounts.delete(channel);
    for (const { link } of this.#peers) if (link?.writable) link.deferred.drop(channel.id);
    this.#own.wake();
  }

  /** Tells the siblings to hold or to release the channel, as `channel.congested` says. */
  hold(channel: RelayChannel): void {
    for (const { link } of this.#peers) {
      if (!link?.writable) continue;
      if (channel.congested) link.out.hold(channel.id);
      else link.out.release(channel.id);
    }
    this.#own.wake();
  }

  /**
   * Calls `done` when all siblings send the publications of the channel to this worker, or at once if they already
   * do.
   */
  whenKnown(channel: RelayChannel, done: () => void): void {
    this.#barrier.wait(channel.id, done);
  }

  /** Called when the member count of a channel has changed. */
  markChanged(channel: RelayChannel): void {
    this.#changedCounts.add(channel);
  }

  /**
   * Requests acks for interest that was announced since the last request. Called before links are flushed.
   * @param now milliseconds of the monotonic clock; `Infinity`: request without a delay
   * @returns remaining delay in ms; `Infinity`: no new interest waits
   */
  sync(now: number): number {
    if (this.#announced === this.#asked) return Infinity;
    if (this.#delayedUntil > now) return this.#delayedUntil - now;
    this.#asked = this.#announced;
    let asked = false;
    for (const { link } of this.#peers) {
      if (!link?.writable || !this.#announcements.isComplete(link)) continue;
      link.out.sync(this.#announced);
      asked = true;
    }
    if (asked && now !== Infinity) {
      this.#delayedUntil = Math.max(this.#delayedUntil, now - forgoneMs) + this.#delayMs;
    }
    return Infinity;
  }

  /** A link is open: joins wait for the acks of this sibling from now on. */
  linked({ workerId }: Peer, link: Link): void {
    this.#barrier.require(workerId);
    this.sendAll(link);
  }

  acked({ workerId }: Peer, sequence: number): void {
    this.#barrier.ack(workerId, sequence);
  }

  /** The sibling has been silent for too long, so joins do not wait for it; see mesh.ts. */
  suspect({ workerId }: Peer): void {
    this.#barrier.suspect(workerId);
  }

  trust({ workerId }: Peer): void {
    this.#barrier.trust(workerId);
  }

  /** The sibling has ended: joins do not wait for it. */
  forgotten({ workerId }: Peer): void {
    this.#barrier.forget(workerId);
  }

  /** Sends the complete interest and all counts, over several turns; acks are requested when it is done. */
  sendAll(link: Link): void {
    this.#announcements.begin(link, this.#announced);
  }

  /** Answers the probe of a sibling after all interest that was announced. */
  echo(link: Link, nonce: number): void {
    this.#announcements.echo(link, nonce);
  }

  /** The link must not be written to from now on. */
  detached(link: Link): void {
    this.#announcements.end(link);
  }

  /** Sends the counts that have changed. */
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
