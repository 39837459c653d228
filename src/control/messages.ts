/** The messages between primary and worker over node:cluster's IPC. Client messages never travel here. */
import type { Settings } from '../config.ts';
import type { ErrorCode } from '../errors.ts';
import type { Snapshot } from '../observability/snapshot.ts';
import type { MeshIdentity, PeerAddress } from '../relay/peers.ts';
import type { ActionName } from './actions.ts';

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

export type ToWorker =
  | { kind: 'start'; options: WorkerOptions }
  /** all workers, in an order that is the same for all */
  | { kind: 'peers'; peers: PeerAddress[] }
  | { kind: 'ping' }
  /** do this worker's part */
  | { kind: 'ask'; id: number; action: ActionName; input: unknown; trace?: string | undefined }
  /** say what you have counted, as a `part` */
  | { kind: 'collect'; id: number }
  /** answers a `request` */
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'refusal'; id: number; code: ErrorCode; message: string }
  | { kind: 'stop' };

export type ToPrimary =
  /** siblings can dial */
  | { kind: 'meshListening' }
  /** linked to all siblings, and clients can connect */
  | { kind: 'ready'; port: number }
  /** the start failed; `operator` says that nobody but the operator can mend it */
  | { kind: 'failed'; message: string; operator: boolean }
  | { kind: 'pong'; connections: number }
  /** what it has counted in all; it is about to end */
  | { kind: 'counted'; snapshot: Snapshot }
  /** answers an `ask` or a `collect` */
  | { kind: 'part'; id: number; part: unknown }
  /** an admin request came to this worker: ask the whole hub */
  | { kind: 'request'; id: number; action: ActionName; input: unknown; trace?: string | undefined };
