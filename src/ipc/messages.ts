/** The messages between primary and worker over node:cluster's IPC. Client messages never travel here. */
import type { ApiKey } from '../config/api-keys-file.ts';
import type { Settings } from '../config/settings.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { Snapshot } from '../metrics/snapshot.ts';

/** A worker in the list of peers. Of two workers, the earlier one in the list dials the other. */
export interface PeerAddress {
  workerId: string;
  /** path of the Unix socket on which it accepts links */
  path: string;
}

/** This worker's identity in the mesh. */
export interface MeshIdentity extends PeerAddress {
  /** links between different hubs are refused */
  hubId: string;
}

/** Everything that a worker needs to start. */
export interface WorkerOptions {
  settings: Settings;
  identity: MeshIdentity;
  /** its slot, which its successor takes over */
  slot: number;
  adminToken: string;
  apiKeys: readonly ApiKey[];
  /** the runtime directory was created by the hub: if the primary dies, the last worker removes it */
  ownsRuntimeDir: boolean;
  runtimeDir: string;
  /** the broker's Unix socket; null: no namespace needs a broker */
  brokerPath: string | null;
  /** added to the seconds of clock.ts gives Unix time; the same for all processes */
  unixOffset: number;
}

/** How a worker closes its clients before it exits. */
export interface DrainOrder {
  reason: 'restarting' | 'going_away';
  /** time over which the closes are spread evenly */
  spreadMs: number;
  /** time limit for a client to answer its close */
  closeTimeoutMs: number;
  /** time after which the worker is killed */
  budgetMs: number;
  /** bounds of the random delay before a client reconnects */
  reconnect: { minMs: number; maxMs: number };
}

export type ToWorker =
  | { kind: 'start'; options: WorkerOptions }
  /** all workers that can be dialled, in the same order for all */
  | { kind: 'peers'; peers: PeerAddress[] }
  | { kind: 'ping' }
  /** accept clients from the socket passed along, or bind one to `address`; answered with a `part` */
  | { kind: 'listen'; id: number; index: number; address?: { host: string; port: number } }
  /** stop accepting from that socket */
  | { kind: 'release'; index: number }
  /** send `filled` after accepting this number of clients from that socket */
  | { kind: 'quota'; index: number; clients: number }
  /** execute this worker's part of an admin action; answered with a `part` */
  | { kind: 'ask'; id: number; action: string; input: unknown; trace?: string | undefined }
  /** collect the metrics; answered with a `part` */
  | { kind: 'collect'; id: number }
  /** answer to a `request` */
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'refusal'; id: number; code: ErrorCode; message: string }
  /** close the clients and exit; a second order replaces the first */
  | { kind: 'drain'; order: DrainOrder };

export type ToPrimary =
  /** siblings can dial this worker */
  | { kind: 'meshListening' }
  /** linked to all siblings: it can accept clients */
  | { kind: 'ready' }
  /** number of clients, including pending handshakes; `soon`: rebalance immediately */
  | { kind: 'clients'; count: number; soon: boolean }
  /** the quota of the socket has been reached */
  | { kind: 'filled'; index: number }
  /** the start failed; `operator`: a retry cannot succeed, the operator must fix the cause */
  | { kind: 'failed'; message: string; operator: boolean }
  | { kind: 'pong'; connections: number; linked: boolean; rssBytes: number }
  /** all counters: with each pong, and before the exit */
  | { kind: 'counted'; snapshot: Snapshot }
  /** all clients are closed, and the siblings have read everything: the worker exits */
  | { kind: 'drained'; forced: number }
  /** answer to `ask`, `collect` or `listen` */
  | { kind: 'part'; id: number; part: unknown }
  /** answer to an `ask` whose part cannot be done */
  | { kind: 'refusal'; id: number; code: ErrorCode; message: string }
  /** execute an admin action that was requested on this worker's port */
  | { kind: 'request'; id: number; action: string; input: unknown; trace?: string | undefined };
