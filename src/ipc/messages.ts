/** The messages between primary and worker over node:cluster's IPC. Client messages never travel here. */
import type { Settings } from '../config/settings.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { Snapshot } from '../metrics/snapshot.ts';

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

/** All that a worker is built from. */
export interface WorkerOptions {
  settings: Settings;
  identity: MeshIdentity;
  /** its place, which its successor takes over */
  slot: number;
  adminToken: string;
  /** the runtime directory is the hub's own: whoever is left last removes it */
  ownsRuntimeDir: boolean;
  runtimeDir: string;
  /** from seconds of clock.ts to Unix time, as the primary has it */
  unixOffset: number;
}

/** How a worker lets go of its clients before it ends. */
export interface DrainOrder {
  reason: 'restarting' | 'going_away';
  /** over which the closes are spread evenly */
  spreadMs: number;
  /** how long a client may take to answer its close */
  closeTimeoutMs: number;
  /** after so many milliseconds the worker is killed */
  budgetMs: number;
  /** the bounds of the random time after which a client is to come back */
  reconnect: { minMs: number; maxMs: number };
}

export type ToWorker =
  | { kind: 'start'; options: WorkerOptions }
  /** all workers, in an order that is the same for all */
  | { kind: 'peers'; peers: PeerAddress[] }
  | { kind: 'ping' }
  /** accept clients from the listening socket that comes along, or from one of your own; answered with a `part` */
  | { kind: 'listen'; id: number; index: number; address?: { host: string; port: number } }
  /** accept no longer from that one: its own worker does again */
  | { kind: 'giveBack'; index: number }
  /** say `filled` when so many more clients have come over that socket */
  | { kind: 'quota'; index: number; clients: number }
  /** do this worker's part of an admin action */
  | { kind: 'ask'; id: number; action: string; input: unknown; trace?: string | undefined }
  /** say what you have counted, as a `part` */
  | { kind: 'collect'; id: number }
  /** answers a `request` */
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'refusal'; id: number; code: ErrorCode; message: string }
  /** let go of the clients and end; a second order takes the place of the first */
  | { kind: 'drain'; order: DrainOrder };

export type ToPrimary =
  /** siblings can dial */
  | { kind: 'meshListening' }
  /** linked to all siblings: it can accept clients */
  | { kind: 'ready' }
  /** how many clients are there, those half way in too; `soon`: so many have come that it matters at once */
  | { kind: 'clients'; count: number; soon: boolean }
  /** as many clients have come over the socket as it was to take */
  | { kind: 'filled'; index: number }
  /** the start failed; `operator` says that nobody but the operator can mend it */
  | { kind: 'failed'; message: string; operator: boolean }
  | { kind: 'pong'; connections: number; linked: boolean; rssBytes: number }
  /** what it has counted in all: with each pong, and before it ends */
  | { kind: 'counted'; snapshot: Snapshot }
  /** all clients are gone, and the siblings have read everything: it ends */
  | { kind: 'drained'; closed: number; forced: number }
  /** answers an `ask` or a `collect` */
  | { kind: 'part'; id: number; part: unknown }
  /** an admin request came to this worker: ask the whole hub */
  | { kind: 'request'; id: number; action: string; input: unknown; trace?: string | undefined };
