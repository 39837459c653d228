/**
 * The mesh of workers: announces the interest of this worker and learns the interest of its siblings, sends each
 * publication to the siblings that have subscribers, and reports when all siblings know a channel.
 *
 *   on an open link    ── begin, add …, sync n ──▶   all interest first, from both sides, over several turns
 *                      ◀── ack n ────────────────    interest up to n is known: the joins that wait for it are answered
 *
 * A blocked worker (a handler computes for seconds, or the process is stopped) must not delay the joins of all
 * others. Therefore joins do not wait for the ack of a suspected worker. The barrier holds nevertheless, because the
 * blocked worker detects its own pause:
 *
 * - Each worker writes `alive` on every link once per tick. A sibling is suspected after `suspectTicks` ticks without
 *   data from it. Ticks are counted, not milliseconds, because a worker that was blocked itself has counted only one
 *   tick.
 * - A worker whose last tick is more than `stallMs` ago may be suspected, and its sockets may hold unread interest.
 *   It checks this before each publication. From then on it publishes by name to siblings that are not known to
 *   listen to the channel, and sends each sibling a probe. The echo follows all interest that the sibling announced
 *   before it. After the echo, the worker publishes by number again.
 * - The same holds for a link that was just opened, until the interest of the sibling is complete here.
 * - The sibling trusts the worker again before it answers the probe, so later joins wait for its ack.
 *
 * `stallMs` is shorter than the silence that makes a sibling suspect a worker (at least `suspectTicks - 1` ticks): a
 * suspected worker has been late by more than `stallMs`, because a written `alive` is read within one tick.
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
import { Peers, type PeersOwner } from './siblings.ts';
import type { MeshIdentity, PeerAddress } from '../../ipc/messages.ts';
import type { Relay, RelayChannel, RelayHost, RemoteMembers, Sibling } from '../relay.ts';
import { membersOf, Routes } from './routes.ts';

/** Receives the commands of siblings; handlers/commands.ts implements it. */
export interface CallHost {
  /** Called when a sibling calls a command on this worker. */
  call(from: string, value: unknown): void;
  /** Called when a sibling answers a command of this worker. */
  result(from: string, value: unknown): void;
  /** The link to a sibling has closed: its outstanding commands will not be answered. */
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
  /** announces the state of this worker to the siblings; made by `start` */
  #announcer!: Announcer;
  readonly #routes = new Routes<Link>();
  #timer: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;
  /** time of the last tick, or of the detection of a pause; milliseconds of the monotonic clock */
  #tickedAt = Infinity;
  /** number of the last probe */
  #nonce = 0;
  /** number of links with an awaited echo */
  #awaitedEchoes = 0;
  #onLinked: (() => void) | null = null;

  /** @param batching limits of the delay of publications and of new interest */
  constructor(self: MeshIdentity, batching: BatchingLimits, log: Log, counters: Counters) {
    this.#counters = counters;
    this.#batching = batching;
    this.#peers = new Peers(self, this, log, counters);
  }

  start(host: RelayHost): void {
    this.#host = host;
    this.#announcer = new Announcer(host, this.#peers, this.#batching.maxMs);
  }

  /** Listens for links. Called after `start`. Rejects if the socket cannot be created. */
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

  /** Asks the siblings to send no more commands, because this worker is about to end. */
  leave(): void {
    clearInterval(this.#timer);
    this.#peers.leave();
    this.#host.wake();
  }

  /** Returns whether all siblings have stopped sending commands. Valid after `leave`. */
  get callsOver(): boolean {
    return this.#peers.callsOver;
  }

  /** Ends the links after all frames. The siblings read to the end and then remove this worker. */
  end(): void {
    this.flush(Infinity);
    this.#peers.end();
  }

  /** Returns whether every sibling has read all frames or has ended. Valid after `end`. */
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

  /** Calls `done` when every sibling is linked and has announced its interest. */
  whenLinked(done: () => void): void {
    this.#onLinked = done;
    this.#checkLinked();
  }

  /** Returns whether every sibling is linked and has announced its interest. */
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
      const delayMs = batchDelayMs(localMembers + membersOf(routes), this.#batching);
      for (const route of routes) {
        route.dueAt = relayDueAt(now, route.dueAt, delayMs);
        route.sibling.publish(route, publication, handedAt);
      }
    }
    for (const peer of this.#peers) {
      if (peer.link !== null || !peer.everLinked) continue;
      this.#counters.dropped.relay_down += 1;
      peer.missed.add(name, 1);
    }
  }

  /** The linked siblings that accept commands. */
  callable(): string[] {
    return [...this.#peers].flatMap(({ workerId, link, leaving }) => (link && !leaving ? [workerId] : []));
  }

  /** Sends a call or a result of a command. Returns false if no link can take it. */
  send(sibling: string, type: 'call' | 'result', value: unknown): boolean {
    const peer = this.#peers.get(sibling);
    if (!peer?.link?.writable || (peer.leaving && type === 'call')) return false;
    peer.link.out.json(type, value);
    this.#host.wake();
    return true;
  }

  /** Writes the collected frames, one write per link; see Relay. */
  flush(now: number): number {
    let wait = this.#announcer.sync(now);
    for (const { link } of this.#peers) {
      if (!link) continue;
      wait = Math.min(wait, link.flush(now));
    }
    return wait;
  }

  /** The linked siblings with their connections and channels, by their last reports. */
  siblings(): Sibling[] {
    return [...this.#peers].flatMap(({ workerId, link, connections }) =>
      link ? [{ workerId, connections, channels: this.#routes.channelsOf(link) }] : [],
    );
  }

  remoteChannels(): MapIterator<string> {
    return this.#routes.names();
  }

  remoteWorkers(name: string): RemoteMembers[] {
    return (this.#routes.to(name) ?? []).map(({ sibling, members }) => ({
      workerId: sibling.peer?.workerId ?? '',
      connections: members,
    }));
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

  /** Number of bytes that are buffered for all siblings. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const { link } of this.#peers) bytes += link?.bufferedBytes ?? 0;
    return bytes;
  }

  /** Number of bytes that are buffered for each linked sibling. */
  queues(): { workerId: string; bytes: number }[] {
    return [...this.#peers].flatMap(({ workerId, link }) =>
      link ? [{ workerId, bytes: link.bufferedBytes }] : [],
    );
  }

  // LinkOwner and PeersOwner

  hello(link: Link, value: unknown): void {
    this.#peers.hello(link, value);
  }

  opened(link: Link, peer: Peer): void {
    this.#announcer.trust(peer);
    this.#announcer.linked(peer, link);
    this.#nonce += 1;
    this.#probe(link); // its interest arrives over several turns
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
    this.#tellMissed(link); // before the ack, which lets new subscribers in
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
    // The link has recorded the received data.
  }

  probe(link: Link, nonce: number): void {
    const { peer } = opened(link);
    link.silentTicks = 0;
    if (peer) this.#announcer.trust(peer);
    this.#announcer.echo(link, nonce);
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
    this.#announcer.detached(link);
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

  /** Measures the latency of a publication between two workers. */
  #arrived({ traced }: Publication, handedAt: number): void {
    const at = clock();
    const relaySeconds = Math.max(0, at - handedAt);
    this.#counters.relayLatency.observe(relaySeconds);
    if (traced === null) return;
    traced.startedAt = at;
    traced.relaySeconds = relaySeconds;
  }

  /** Sends `alive` to the siblings, and suspects silent siblings. */
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

  /** This worker was blocked: interest that siblings announced in the meantime may be unread in its sockets. */
  #stalled(now: number): void {
    this.#tickedAt = now;
    this.#nonce += 1;
    for (const { link } of this.#peers) if (link) this.#probe(link);
    this.#host.wake();
  }

  /** From now on publications go by name to this sibling, until its echo has followed all interest that it announced. */
  #probe(link: Link): void {
    if (link.awaitedEcho === 0) this.#awaitedEchoes += 1;
    link.awaitedEcho = this.#nonce;
    link.out.probe(this.#nonce);
  }

  /** Reports to a sibling, after an interruption of the link, the number of publications that its subscribers have missed. */
  #tellMissed(link: Link): void {
    const missed = link.peer?.missed;
    if (!missed || missed.isEmpty) return;
    missed.take((channel, count) => {
      const route = this.#routes.to(channel)?.find(({ sibling }) => sibling === link);
      if (route) link.out.lost(route.channelId, count);
    });
  }

  /** Publishes by name to the siblings whose present interest is not certain. */
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
 * Checks that a link belongs to a sibling. A link whose sibling has sent hello and is not yet named by the primary
 * belongs to none, so its interest would never be removed.
 * @throws {FrameError} it belongs to none
 */
function opened(link: Link): Link {
  if (link.peer === null) throw new FrameError('a frame before the hello was answered');
  return link;
}
