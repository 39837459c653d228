/**
 * The siblings that the primary has named, and the link to each: listens, dials, accepts and redials with backoff. It
 * promises at most one link per sibling. mesh.ts knows the meaning of the frames.
 *
 *   dialler                               listener
 *     ── hello{hub,from,to} ───────────────▶   waits until the primary has named `from`
 *     ◀─────────────── hello{hub,from,to} ──   the link is open on both sides
 *
 * A link outlives the entry of its sibling: it is read to the end of the stream, even after the primary has removed the
 * sibling. The end of the stream and the message of the primary use different descriptors and arrive in any order.
 *
 *   leaving worker                         sibling
 *     ── leaving ──────────────────────────▶   sends no more commands
 *     ◀──────────────────────────── quiet ──   no call is in progress
 *     ── …, end of stream ─────────────────▶   all frames are read: the worker is removed
 *     ◀──────────────────── end of stream ──   the link is closed
 */
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createConnection, createServer, type Server } from 'node:net';
import { z } from 'zod';
import type { MeshIdentity, PeerAddress } from '../../ipc/messages.ts';
import type { Counters } from '../../metrics/counters.ts';
import { backoffMs, jittered } from '../../platform/backoff.ts';
import { messageOf } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { FrameError } from './frame-decoder.ts';
import { Link, type LinkOwner, type Peer } from './link.ts';
import { Missed } from './missed.ts';

export interface PeersOwner extends LinkOwner {
  /** Both hellos have been exchanged. */
  opened(link: Link, peer: Peer): void;
  /** The link must not be written to from now on. It may still be read. */
  detached(link: Link): void;
  /** An open link has closed; a new one may follow. */
  linkClosed(link: Link, peer: Peer): void;
  /** The sibling has ended. */
  peerRemoved(peer: Peer): void;
}

interface PeerEntry extends Peer {
  /** this worker dials, not the sibling */
  readonly dials: boolean;
  retry: NodeJS.Timeout | undefined;
  /** number of failed dials in a row */
  failures: number;
}

const helloShape = z.object({ hubId: z.string(), from: z.string(), to: z.string() });

const retry = { firstMs: 20, maxMs: 1_000 };
/** how long the link of a sibling that has ended may take to be read to its end */
const readOutMs = 30_000;

export class Peers {
  readonly #self: MeshIdentity;
  readonly #owner: PeersOwner;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #server: Server;
  readonly #entries = new Map<string, PeerEntry>();
  /** links whose hello names a worker that the primary has not named yet, by worker */
  readonly #parked = new Map<string, Link>();
  /** links that are only read, up to their end, each with its deadline */
  readonly #ending = new Map<Link, NodeJS.Timeout>();
  /** siblings that have ended their links and are still named by the primary */
  readonly #departed = new Set<string>();
  #closed = false;

  constructor(self: MeshIdentity, owner: PeersOwner, log: Log, counters: Counters) {
    this.#self = self;
    this.#owner = owner;
    this.#log = log;
    this.#counters = counters;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => new Link(socket, owner, counters));
  }

  [Symbol.iterator](): MapIterator<Peer> {
    return this.#entries.values();
  }

  get(workerId: string): Peer | undefined {
    return this.#entries.get(workerId);
  }

  /** Listens for links. Rejects if the socket cannot be created. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error) => {
        // libuv reports EACCES for a missing directory (uv_pipe_bind).
        const folder = dirname(this.#self.path);
        reject(existsSync(folder) ? cause : new Error(`ENOENT: ${folder} was removed`, { cause }));
      };
      this.#server.once('error', onError);
      this.#server.listen(this.#self.path, () => {
        this.#server.off('error', onError);
        resolve();
      });
    });
  }

  /** Creates the socket file again if it was removed, so that later workers can link. */
  async keepSocketFile(): Promise<void> {
    const exists = await stat(this.#self.path).then(
      () => true,
      (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
    );
    if (exists || this.#closed) return;
    this.#log.warn({ path: this.#self.path }, 'the link socket was removed; listening anew');
    this.#server.close();
    await this.listen().catch((error: unknown) => {
      this.#log.error({ path: this.#self.path, reason: messageOf(error) }, 'the link socket cannot be made');
    });
  }

  /** All workers of the hub, this one included, in the primary's order. */
  set(addresses: readonly PeerAddress[]): void {
    const named = new Set(addresses.map((address) => address.workerId));
    for (const entry of this.#entries.values()) {
      if (!named.has(entry.workerId)) this.#forget(entry);
    }
    for (const workerId of this.#departed) if (!named.has(workerId)) this.#departed.delete(workerId);
    const own = addresses.findIndex((address) => address.workerId === this.#self.workerId);
    for (const [index, address] of addresses.entries()) {
      if (index === own || this.#entries.has(address.workerId) || this.#departed.has(address.workerId))
        continue;
      this.#add(address, own < index);
    }
  }

  /** Opens and accepts no more links, and asks the siblings to send no more commands: this worker is about to end. */
  leave(): void {
    this.#stopLinking();
    for (const { link } of this.#entries.values()) link?.out.leaving();
  }

  /** Returns whether all linked siblings have stopped sending commands. Valid after `leave`. */
  get callsOver(): boolean {
    for (const { link, quiet } of this.#entries.values()) if (link && !quiet) return false;
    return true;
  }

  /** Ends this side of all links after all frames. */
  end(): void {
    for (const entry of this.#entries.values()) {
      const link = this.#detach(entry);
      link?.end();
    }
  }

  /** Returns whether every link has been read to its end and closed. Valid after `end`. */
  get ended(): boolean {
    return this.#ending.size === 0;
  }

  /**
   * Destroys the remaining links and counts their unsent publications. The socket file is removed with the server.
   */
  close(): void {
    this.#stopLinking();
    const open = [...this.#entries.values()].flatMap(({ link }) => link ?? []);
    for (const link of [...open, ...this.#ending.keys()]) {
      this.#counters.dropped.relay_down += link.unsentPublications;
      link.destroy();
    }
    for (const link of this.#parked.values()) link.destroy();
  }

  /**
   * Handles the first frame of a link.
   * @throws {FrameError} the link is not for this worker
   */
  hello(link: Link, value: unknown): void {
    const hello = helloShape.safeParse(value);
    if (!hello.success || hello.data.hubId !== this.#self.hubId || hello.data.to !== this.#self.workerId) {
      throw new FrameError('a hello that is not for this worker');
    }
    const { from } = hello.data;
    const entry = this.#entries.get(from);
    if (entry) {
      this.#open(entry, link);
    } else {
      this.#parked.get(from)?.destroy();
      this.#parked.set(from, link);
    }
  }

  /** The sibling has ended its side of a link, and all its frames have been read. */
  finished(link: Link): void {
    if (this.#ending.has(link)) {
      if (!link.ended) link.destroy(); // the sibling is dead; else the link closes once this side is sent
      return;
    }
    const entry = this.#entries.get(link.peer?.workerId ?? '');
    if (entry?.link !== link || !entry.leaving) {
      link.destroy();
      return;
    }
    this.#departed.add(entry.workerId);
    this.#forget(entry);
    link.end();
  }

  closed(link: Link, error: Error | undefined): void {
    for (const [from, parked] of this.#parked) if (parked === link) this.#parked.delete(from);
    const { peer } = link;
    if (!peer) {
      const level = error instanceof FrameError ? 'warn' : 'debug';
      this.#log[level]({ reason: error?.message ?? 'closed' }, 'link not opened');
      return;
    }
    if (this.#ending.has(link)) {
      clearTimeout(this.#ending.get(link));
      this.#ending.delete(link);
      this.#owner.linkClosed(link, peer);
      return;
    }
    const entry = this.#entries.get(peer.workerId);
    if (entry?.link !== link) return;
    if (entry.leaving) {
      this.#departed.add(entry.workerId);
      this.#forget(entry);
      this.closed(link, error);
      return;
    }
    entry.link = null;
    entry.synced = false;
    if (!this.#closed) {
      this.#log.warn({ sibling: peer.workerId, reason: error?.message ?? 'closed' }, 'link closed');
    }
    this.#owner.detached(link);
    this.#owner.linkClosed(link, peer);
    if (entry.dials) this.#redial(entry);
  }

  #add(address: PeerAddress, dials: boolean): void {
    const entry: PeerEntry = {
      ...address,
      dials,
      link: null,
      everLinked: false,
      synced: false,
      connections: 0,
      leaving: false,
      quiet: false,
      missed: new Missed(),
      retry: undefined,
      failures: 0,
    };
    this.#entries.set(address.workerId, entry);
    const parked = this.#parked.get(address.workerId);
    this.#parked.delete(address.workerId);
    if (parked) this.#open(entry, parked);
    else if (dials && !this.#closed) this.#dial(entry);
  }

  #dial(entry: PeerEntry): void {
    const socket = createConnection({ path: entry.path, allowHalfOpen: true });
    const link = new Link(socket, this.#owner, this.#counters);
    socket.on('connect', () => {
      this.#greet(link, entry);
    });
    socket.on('close', () => {
      if (link.peer === null) this.#redial(entry);
    });
  }

  #redial(entry: PeerEntry): void {
    if (this.#closed || this.#entries.get(entry.workerId) !== entry) return;
    const delay = jittered(backoffMs(entry.failures, retry));
    entry.failures += 1;
    entry.retry = setTimeout(() => {
      this.#dial(entry);
    }, delay);
  }

  #greet(link: Link, entry: PeerEntry): void {
    link.out.json('hello', { hubId: this.#self.hubId, from: this.#self.workerId, to: entry.workerId });
    link.flush(Infinity);
  }

  #open(entry: PeerEntry, link: Link): void {
    if (!entry.dials) this.#greet(link, entry);
    const before = entry.link;
    if (before) {
      // The sibling has opened a new link: frames of the old stream must not follow those of the new one.
      entry.link = null;
      before.destroy();
      this.#owner.detached(before);
      this.#owner.linkClosed(before, entry);
    }
    entry.link = link;
    entry.everLinked = true;
    entry.synced = false;
    entry.leaving = false;
    entry.quiet = false;
    entry.failures = 0;
    link.peer = entry;
    if (this.#closed) link.out.leaving();
    this.#log.debug({ sibling: entry.workerId }, 'link open');
    this.#owner.opened(link, entry);
  }

  #forget(entry: PeerEntry): void {
    this.#entries.delete(entry.workerId);
    clearTimeout(entry.retry);
    this.#detach(entry);
    this.#owner.peerRemoved(entry);
  }

  /** Makes the link of the entry read-only, up to its end. */
  #detach(entry: PeerEntry): Link | null {
    const { link } = entry;
    if (!link) return null;
    entry.link = null;
    const deadline = setTimeout(() => {
      this.#log.warn({ sibling: entry.workerId }, 'the link of a worker that is gone did not end');
      link.destroy();
    }, readOutMs);
    this.#ending.set(link, deadline);
    this.#owner.detached(link);
    return link;
  }

  #stopLinking(): void {
    this.#closed = true;
    this.#server.close();
    for (const entry of this.#entries.values()) clearTimeout(entry.retry);
  }
}
