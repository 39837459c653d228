/**
 * Complete announcements of this worker's interest, each over several turns of the event loop: with 100 000 channels one takes
 * 200 ms. While a link is announced, interest that is new goes to it at once. What confirms interest must follow all of it, so a
 * sync or an echo of the link waits until its announcement is complete.
 */
import type { RelayChannel, RelayHost } from '../relay.ts';
import type { Link } from './link.ts';
import { announceChunk } from './tuning.ts';

/** The state of a link whose interest is not completely announced. */
interface Incomplete {
  /** the channels that are not announced yet; null: the link accepts no frames, and the announcement restarts when it does */
  channels: Iterator<RelayChannel> | null;
  /** the number of the probe to answer; 0: none */
  echo: number;
}

export interface AnnouncementsOwner extends Pick<RelayHost, 'channels' | 'wake'> {
  /** Sends the counts of channels that were announced before. */
  counts(link: Link, channels: readonly RelayChannel[]): void;
  /** The complete interest of this worker was sent. */
  complete(link: Link): void;
}

export class Announcements {
  readonly #owner: AnnouncementsOwner;
  readonly #incomplete = new Map<Link, Incomplete>();

  constructor(owner: AnnouncementsOwner) {
    this.#owner = owner;
  }

  /** Begins a complete announcement, instead of one in progress. @param last the highest number of a channel so far */
  begin(link: Link, last: number): void {
    const state: Incomplete = {
      channels: this.#owner.channels()[Symbol.iterator](),
      echo: this.#incomplete.get(link)?.echo ?? 0,
    };
    this.#incomplete.set(link, state);
    link.out.begin();
    this.#continue(link, state, last);
  }

  /** Whether the interest of this worker was completely announced, so that new interest can be confirmed. */
  isComplete(link: Link): boolean {
    return !this.#incomplete.has(link);
  }

  /** Answers a probe after all interest. */
  echo(link: Link, nonce: number): void {
    const state = this.#incomplete.get(link);
    if (state) state.echo = nonce;
    else if (link.writable) link.out.echo(nonce);
    else this.#incomplete.set(link, { channels: null, echo: nonce });
  }

  /** The link has closed. */
  end(link: Link): void {
    this.#incomplete.delete(link);
  }

  #continue(link: Link, state: Incomplete, last: number): void {
    const { channels } = state;
    if (channels === null || this.#incomplete.get(link) !== state) return;
    if (!link.writable) {
      state.channels = null;
      return;
    }
    const sent: RelayChannel[] = [];
    let next = channels.next();
    // Numbers ascend: all later channels were announced when they opened.
    while (next.done !== true && next.value.id <= last) {
      const { id, name, congested } = next.value;
      link.out.add(id, name);
      if (congested) link.out.hold(id);
      sent.push(next.value);
      if (sent.length === announceChunk) break;
      next = channels.next();
    }
    this.#owner.counts(link, sent);
    if (sent.length === announceChunk) {
      setImmediate(() => {
        this.#continue(link, state, last);
      });
    } else {
      this.#incomplete.delete(link);
      this.#owner.complete(link);
      if (state.echo !== 0) link.out.echo(state.echo);
    }
    this.#owner.wake();
  }
}
