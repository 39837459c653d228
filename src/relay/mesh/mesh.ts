/**
 * The mesh of workers: announces this worker's interest and learns the siblings'; sends a publication to the siblings
 * that have subscribers; tells when a channel is known everywhere.
 *
 *   on an open link    ── begin, add …, sync n ──▶   all interest first, from both sides
 *                      ◀── ack n ────────────────    up to n it is known there: joins may be answered
 *
 * A worker that stands still (a handler computes for seconds, the process is stopped) must not hold up the joins of all
 * others, so its ack is not waited for when it is suspected. The barrier stays true because the worker itself notices:
 *
 * - Each worker writes `alive` on every link once per tick. A sibling is suspected when nothing of it has come for
 *   `suspectTicks` ticks. Ticks are counted, not milliseconds: a worker that has stood still itself has counted one.
 * - A worker whose last tick is more than `stallMs` ago may have been suspected, and interest may lie unread in its
 *   sockets. It looks at that before each publication. From then on it publishes to a sibling by name what that
 *   sibling is not known to listen to, and asks it for an echo. The echo comes behind all interest that was announced
 *   before it, and ends that.
 * - The sibling trusts the worker again before it answers the probe: joins from then on wait for its ack.
 *
 * `stallMs` is less than the silence (`suspectTicks - 1` ticks at least) that makes a sibling suspect: whoever is
 * suspected has missed its ticks by more than `stallMs`, as an `alive` that has been written is read within one tick.
 */
import type { Publication } from '../../channel/publication.ts';
import { relayDueAt, batchDelayMs, type BatchingLimits } from '../../channel/batching.ts';
import { now as clock } from '../../platform/clock.ts';
import type { Counters } from '../../metrics/counters.ts';
import type { Log } from '../../platform/log.ts';
import { Announcer } from './announcer.ts';
import { maxPublicationBytes } from './frame.ts';
import { FrameError } from './frame-decoder.ts';
import type { Link, Peer } from './link.ts';
import { Peers, type PeersOwner } from './peers.ts';
import type { MeshIdentity, PeerAddress } from '../../ipc/messages.ts';
import type { Relay, RelayChannel, RelayHost, RemoteMembers, Sibling } from '../relay.ts';
import { membersOf, Routes } from './routes.ts';

/** Takes what siblings say about commands; handlers/commands.ts fits. */
export interface CallHost {
  /** A sibling calls a command here, or answers one that was called from here. */
  call(from: string, value: unknown): void;
  result(from: string, value: unknown): void;
  /** The link to a sibling is gone: what was asked of it will not be answered. */
  linkClosed(sibling: string): void;
}

const countsIntervalMs = 1_000;
/** see the top of this file */
const tickMs = 200;
const suspectTicks = 4;
const stallMs = 2 * tickMs;

export class Mesh implements Relay, PeersOwner {
  readonly maxPublicationBytes = maxPublicationBytes;
  /** set by `start` */
  #host!: RelayHost;
  /** set by `listen` */
  #calls!: CallHost;
  readonly #counters: Counters;
  readonly #batching: BatchingLimits;
  readonly #peers: Peers;
  /** what the siblings are told of this worker; made by `start` */
  #announcer!: Announcer;
  readonly #routes = new Routes<Link>();
  #timer: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;
  /** the last tick, or when it was noticed that it is late; milliseconds of the monotonic clock */
  #tickedAt = Infinity;
  /** the last echo that was asked for */
  #nonce = 0;
  /** links of which an echo is awaited */
  #awaitedEchoes = 0;
  #onLinked: (() => void) | null = null;

  /** @param batching how long publications may wait, and new interest */
  constructor(self: MeshIdentity, batching: BatchingLimits, log: Log, counters: Counters) {
    this.#counters = counters;
    this.#batching = batching;
    this.#peers = new Peers(self, this, log, counters);
  }

  start(host: RelayHost): void {
    this.#host = host;
    this.#announcer = new Announcer(host, this.#peers, this.#batching.maxMs);
  }

  /** Listens for links. Rejects where the socket cannot be made. To be called after `start`. */
  async listen(calls: CallHost): Promise<void> {
    this.#calls = calls;
    await this.#peers.listen();
    this.#timer = setInterval(() => {
      this.#announcer.sendCounts();
      void this.#peers.keepSocketFile();
    }, countsIntervalMs);
    this.#tickedAt = performance.now();
    this.#ticker = setInterval(() => {
      this.#tick(performance.now());
    }, tickMs);
  }

  announce(channel: RelayChannel): void {
    this.#announcer.announce(channel);
  }

  withdraw(channel: RelayChannel): void {
    this.#announcer.withdraw(channel);
  }

  whenKnown(channel: RelayChannel, done: () => void): void {
    this.#announcer.whenKnown(channel, done);
  }

  membersChanged(channel: RelayChannel): void {
    this.#announcer.markChanged(channel);
  }

  congestionChanged(channel: RelayChannel): void {
    this.#announcer.hold(channel);
  }

  /** This worker is about to end: the siblings are asked to call no more commands here. */
  leave(): void {
    clearInterval(this.#timer);
    this.#peers.leave();
    this.#host.wake();
  }

  /** No command of a sibling can come any more. To be asked after `leave`. */
  get callsOver(): boolean {
    return this.#peers.callsOver;
  }

  /** Ends the links behind what was sent: the siblings read to the end, and forget this worker. */
  end(): void {
    this.flush(Infinity);
    this.#peers.end();
  }

  /** All that was sent has been read by the siblings, or they are gone. To be asked after `end`. */
  get ended(): boolean {
    return this.#peers.ended;
  }

  close(): void {
    clearInterval(this.#timer);
    clearInterval(this.#ticker);
    this.#peers.close();
  }

  /** All workers of the hub, this one included, in the primary's order. */
  setPeers(addresses: readonly PeerAddress[]): void {
    this.#peers.set(addresses);
    this.#checkLinked();
  }

  /** Calls back once every sibling is linked and has announced its interest. */
  whenLinked(done: () => void): void {
    this.#onLinked = done;
    this.#checkLinked();
  }

  /** Every sibling is linked and has announced its interest. */
  get linked(): boolean {
    for (const peer of this.#peers) if (!peer.synced) return false;
    return true;
  }

  publish(name: string, publication: Publication, localMembers: number, now: number): void {
    if (now - this.#tickedAt > stallMs) this.#stalled(now);
    if (this.#awaitedEchoes > 0) this.#publishNamed(name, publication);
    const routes = this.#routes.to(name);
    if (routes) {
      const handedAt = clock();
      const rest = batchDelayMs(localMembers + membersOf(routes), this.#batching);
      for (const route of routes) {
        route.dueAt = relayDueAt(now, route.dueAt, rest);
        route.sibling.publish(route, publication, handedAt);
      }
    }
    for (const peer of this.#peers) {
      if (peer.link === null && peer.everLinked) this.#counters.dropped.relay_down += 1;
    }
  }

  /** Siblings that take commands. */
  callable(): string[] {
    return [...this.#peers].flatMap(({ workerId, link, leaving }) => (link && !leaving ? [workerId] : []));
  }

  /** Sends a command's call or result; false where there is no link that could take it. */
  send(sibling: string, type: 'call' | 'result', value: unknown): boolean {
    const peer = this.#peers.get(sibling);
    if (!peer?.link?.writable || (peer.leaving && type === 'call')) return false;
    peer.link.out.json(type, value);
    this.#host.wake();
    return true;
  }

  /** One write per link. */
  flush(now: number): number {
    let wait = this.#announcer.sync(now);
    for (const { link } of this.#peers) {
      if (!link) continue;
      wait = Math.min(wait, link.flush(now));
    }
    return wait;
  }

  /** The linked siblings with their connections and channels, as they last said. */
  siblings(): Sibling[] {
    return [...this.#peers].flatMap(({ workerId, link, connections }) =>
      link ? [{ workerId, connections, channels: this.#routes.channelsOf(link) }] : [],
    );
  }

  /** The channels that siblings listen to. */
  *remoteChannels(): Generator<[name: string, members: RemoteMembers[]]> {
    for (const [name, routes] of this.#routes.entries()) {
      yield [
        name,
        routes.map(({ sibling, members }) => ({
          workerId: sibling.peer?.workerId ?? '',
          connections: members,
        })),
      ];
    }
  }

  get remoteChannelCount(): number {
    return this.#routes.size;
  }

  remoteMembers(name: string): number {
    return membersOf(this.#routes.to(name) ?? []);
  }

  knows(name: string): boolean {
    return this.#routes.to(name) !== undefined;
  }

  /** Bytes that wait for all siblings together. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const { link } of this.#peers) bytes += link?.bufferedBytes ?? 0;
    return bytes;
  }

  /** Bytes that wait for each linked sibling. */
  queues(): { workerId: string; bytes: number }[] {
    return [...this.#peers].flatMap(({ workerId, link }) =>
      link ? [{ workerId, bytes: link.bufferedBytes }] : [],
    );
  }

  // What comes from the links.

  hello(link: Link, value: unknown): void {
    this.#peers.hello(link, value);
  }

  opened(link: Link, peer: Peer): void {
    this.#announcer.trust(peer);
    this.#announcer.linked(peer, link);
  }

  recovered(link: Link): void {
    this.#announcer.sendAll(link);
  }

  begin(link: Link): void {
    this.#routes.begin(opened(link));
    link.releaseAll();
  }

  add(link: Link, channelId: number, name: string): void {
    this.#routes.add(opened(link), channelId, name);
  }

  drop(link: Link, channelId: number): void {
    const name = this.#routes.nameOf(opened(link), channelId);
    if (name === undefined) return;
    this.#routes.drop(link, channelId);
    link.hold(name, false);
  }

  sync(link: Link, sequence: number): void {
    this.#routes.complete(opened(link));
    link.out.ack(sequence);
    this.#host.wake();
    if (!link.peer || link.peer.synced) return;
    link.peer.synced = true;
    this.#checkLinked();
  }

  ack(link: Link, sequence: number): void {
    if (link.peer) this.#announcer.acked(link.peer, sequence);
  }

  hold(link: Link, channelId: number): void {
    const name = this.#routes.nameOf(opened(link), channelId);
    if (name !== undefined) link.hold(name, true);
  }

  release(link: Link, channelId: number): void {
    const name = this.#routes.nameOf(opened(link), channelId);
    if (name !== undefined) link.hold(name, false);
  }

  alive(): void {
    // The link has noted that something has come.
  }

  probe(link: Link, nonce: number): void {
    const { peer } = opened(link);
    link.silentTicks = 0;
    if (peer) this.#announcer.trust(peer);
    link.out.echo(nonce);
    this.#host.wake();
  }

  echo(link: Link, nonce: number): void {
    if (link.awaitedEcho !== nonce) return;
    link.awaitedEcho = 0;
    this.#awaitedEchoes -= 1;
  }

  congested(channel: string, isCongested: boolean): void {
    this.#host.congested(channel, isCongested);
  }

  publication(link: Link, channelId: number, publication: Publication, handedAt: number): void {
    opened(link);
    this.#arrived(publication, handedAt);
    this.#host.deliver(channelId, publication);
  }

  named(link: Link, name: string, publication: Publication, handedAt: number): void {
    opened(link);
    this.#arrived(publication, handedAt);
    this.#host.deliverNamed(name, publication);
  }

  lost(link: Link, channelId: number, count: number): void {
    opened(link);
    this.#host.lost(channelId, count);
  }

  connections(link: Link, total: number): void {
    if (link.peer) link.peer.connections = total;
  }

  members(link: Link, channelId: number, count: number): void {
    this.#routes.setMembers(link, channelId, count);
  }

  call(link: Link, value: unknown): void {
    if (link.peer) this.#calls.call(link.peer.workerId, value);
  }

  result(link: Link, value: unknown): void {
    if (link.peer) this.#calls.result(link.peer.workerId, value);
  }

  leaving(link: Link): void {
    opened(link);
    if (link.peer) link.peer.leaving = true;
    link.out.quiet();
    this.#host.wake();
  }

  quiet(link: Link): void {
    if (link.peer) link.peer.quiet = true;
  }

  finished(link: Link): void {
    this.#peers.finished(link);
  }

  closed(link: Link, error: Error | undefined): void {
    this.#peers.closed(link, error);
  }

  detached(link: Link): void {
    this.#routes.forget(link);
    if (link.awaitedEcho !== 0) this.#awaitedEchoes -= 1;
    link.awaitedEcho = 0;
  }

  linkClosed(_link: Link, peer: Peer): void {
    this.#calls.linkClosed(peer.workerId);
  }

  peerRemoved(peer: Peer): void {
    this.#announcer.forgotten(peer);
    this.#checkLinked();
  }

  /** Measures the way of a publication to this worker. */
  #arrived({ traced }: Publication, handedAt: number): void {
    const at = clock();
    const relaySeconds = Math.max(0, at - handedAt);
    this.#counters.relayLatency.observe(relaySeconds);
    if (traced === null) return;
    traced.startedAt = at;
    traced.relaySeconds = relaySeconds;
  }

  /** Shows the siblings that this worker's event loop turns, and looks which of theirs do not. */
  #tick(now: number): void {
    if (now - this.#tickedAt > stallMs) this.#stalled(now);
    this.#tickedAt = now;
    for (const peer of this.#peers) {
      const { link } = peer;
      if (!link) continue;
      if (link.heard) {
        link.heard = false;
        link.silentTicks = 0;
        this.#announcer.trust(peer);
      } else if (++link.silentTicks === suspectTicks) {
        this.#announcer.suspect(peer);
      }
      if (!link.writable) continue;
      link.out.alive();
      link.flush(now);
    }
  }

  /** This worker has stood still: what its siblings have announced meanwhile may lie unread in its sockets. */
  #stalled(now: number): void {
    this.#tickedAt = now;
    this.#nonce += 1;
    for (const { link } of this.#peers) {
      if (!link) continue;
      if (link.awaitedEcho === 0) this.#awaitedEchoes += 1;
      link.awaitedEcho = this.#nonce;
      link.out.probe(this.#nonce);
    }
    this.#host.wake();
  }

  /** Publishes to the siblings of which it is not certain at the moment what they listen to. */
  #publishNamed(name: string, publication: Publication): void {
    const known = this.#routes.to(name);
    const handedAt = clock();
    for (const { link } of this.#peers) {
      if (!link || link.awaitedEcho === 0 || known?.some(({ sibling }) => sibling === link)) continue;
      link.publishNamed(name, publication, handedAt);
    }
  }

  #checkLinked(): void {
    if (!this.#onLinked || !this.linked) return;
    const done = this.#onLinked;
    this.#onLinked = null;
    done();
  }
}

/**
 * A link that has said hello and waits until the primary has named its worker is no sibling's yet: what it
 * announced would outlive it.
 */
function opened(link: Link): Link {
  if (link.peer === null) throw new FrameError('a frame before the hello was answered');
  return link;
}
