/**
 * The siblings that the primary has named, and the link to each: listens, dials, accepts and redials with
 * backoff. It promises at most one link per sibling. What the frames mean is mesh.ts.
 *
 *   dialler                               listener
 *     ── hello{hub,from,to} ───────────────▶   waits until the primary has named `from`
 *     ◀─────────────── hello{hub,from,to} ──   the link is open on both sides
 */
import { stat } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { z } from 'zod';
import type { Counters } from '../counters.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { FrameError } from './frame-decoder.ts';
import { Link, type LinkOwner, type Peer } from './link.ts';

/** A worker as the primary names it; of two, the one that stands earlier in the list dials the other. */
export interface PeerAddress {
  workerId: string;
  /** the Unix socket on which it listens for links */
  path: string;
}

/** Who this worker is in the mesh. */
export interface MeshIdentity extends PeerAddress {
  /** links between different hubs are refused */
  hubId: string;
}

export interface PeersOwner extends LinkOwner {
  /** Both hellos have been exchanged. */
  opened(link: Link, peer: Peer): void;
  /** An open link has closed; another may follow. */
  unlinked(link: Link, peer: Peer): void;
  /** The primary no longer names the sibling: it is gone for good. */
  forgotten(peer: Peer): void;
}

interface PeerEntry extends Peer {
  /** of the two it is this worker that dials */
  readonly dials: boolean;
  retry: NodeJS.Timeout | undefined;
  /** dials in a row that came to nothing */
  failures: number;
}

const helloShape = z.object({ hubId: z.string(), from: z.string(), to: z.string() });

const firstRetryMs = 20;
const maxRetryMs = 1_000;

export class Peers {
  readonly #self: MeshIdentity;
  readonly #owner: PeersOwner;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #server: Server;
  readonly #entries = new Map<string, PeerEntry>();
  /** links whose hello names a worker that the primary has not named yet */
  readonly #parked = new Map<string, Link>();
  #closed = false;

  constructor(self: MeshIdentity, owner: PeersOwner, log: Log, counters: Counters) {
    this.#self = self;
    this.#owner = owner;
    this.#log = log;
    this.#counters = counters;
    this.#server = createServer((socket) => new Link(socket, owner, counters));
  }

  [Symbol.iterator](): MapIterator<Peer> {
    return this.#entries.values();
  }

  get(workerId: string): Peer | undefined {
    return this.#entries.get(workerId);
  }

  /** Listens for links. Rejects where the socket cannot be made. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#self.path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Makes the socket file anew if somebody has removed it: a worker that starts later could not link. */
  async keepSocketFile(): Promise<void> {
    const exists = await stat(this.#self.path).then(
      () => true,
      (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
    );
    if (exists || this.#closed) return;
    this.#log.warn({ path: this.#self.path }, 'the link socket was removed; listening anew');
    this.#server.close();
    await this.listen().catch((error: unknown) => {
      this.#log.error({ path: this.#self.path, reason: reasonOf(error) }, 'the link socket cannot be made');
    });
  }

  /** All workers of the hub, this one included, in the primary's order. */
  set(addresses: readonly PeerAddress[]): void {
    const named = new Set(addresses.map((address) => address.workerId));
    for (const entry of this.#entries.values()) {
      if (!named.has(entry.workerId)) this.#forget(entry);
    }
    const own = addresses.findIndex((address) => address.workerId === this.#self.workerId);
    for (const [index, address] of addresses.entries()) {
      if (index !== own && !this.#entries.has(address.workerId)) this.#add(address, own < index);
    }
  }

  /** Lets no link come any more and takes the end of one for what it is: this worker is about to end. */
  leave(): void {
    this.#closed = true;
    this.#server.close();
    for (const entry of this.#entries.values()) clearTimeout(entry.retry);
  }

  /** Ends all links; the socket file goes with the server. */
  close(): void {
    this.leave();
    for (const entry of this.#entries.values()) entry.link?.destroy();
    for (const link of this.#parked.values()) link.destroy();
  }

  /** The first frame of a link has come. @throws {FrameError} it is not for this worker */
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

  closed(link: Link, error: Error | undefined): void {
    for (const [from, parked] of this.#parked) if (parked === link) this.#parked.delete(from);
    const { peer } = link;
    if (!peer) {
      const level = error instanceof FrameError ? 'warn' : 'debug';
      this.#log[level]({ reason: error?.message ?? 'closed' }, 'link not opened');
      return;
    }
    const entry = this.#entries.get(peer.workerId);
    if (entry?.link !== link) return;
    entry.link = null;
    entry.synced = false;
    if (!this.#closed) {
      this.#log.warn({ sibling: peer.workerId, reason: error?.message ?? 'closed' }, 'link closed');
    }
    this.#owner.unlinked(link, peer);
    if (entry.dials) this.#redial(entry);
  }

  #add(address: PeerAddress, dials: boolean): void {
    const entry: PeerEntry = {
      ...address,
      dials,
      link: null,
      met: false,
      synced: false,
      connections: 0,
      retry: undefined,
      failures: 0,
    };
    this.#entries.set(address.workerId, entry);
    const parked = this.#parked.get(address.workerId);
    this.#parked.delete(address.workerId);
    if (parked) this.#open(entry, parked);
    else if (dials) this.#dial(entry);
  }

  #dial(entry: PeerEntry): void {
    const socket = createConnection(entry.path);
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
    const delay = Math.min(maxRetryMs, firstRetryMs * 2 ** entry.failures);
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
      // The sibling has begun anew: what is left in the old stream must not come behind what is in the new one.
      entry.link = null;
      before.destroy();
      this.#owner.unlinked(before, entry);
    }
    entry.link = link;
    entry.met = true;
    entry.synced = false;
    entry.failures = 0;
    link.peer = entry;
    this.#log.debug({ sibling: entry.workerId }, 'link open');
    this.#owner.opened(link, entry);
  }

  #forget(entry: PeerEntry): void {
    this.#entries.delete(entry.workerId);
    clearTimeout(entry.retry);
    const { link } = entry;
    entry.link = null;
    if (link) {
      link.destroy();
      this.#owner.unlinked(link, entry);
    }
    this.#owner.forgotten(entry);
  }
}
