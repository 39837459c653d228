/**
 * What can be asked of the whole hub, on any worker's port and on the ops port: per action its input, the part
 * that one worker answers, and the answer made of all parts. worker/actions.ts carries them out, primary/merge.ts
 * joins the parts, http/admin-routes.ts gives each its route.
 */

/** How many of a channel's connections one worker has. */
export interface WorkerShare {
  workerId: string;
  connections: number;
}

export interface ChannelSummary {
  channel: string;
  connections: number;
  workers: WorkerShare[];
}

export interface ConnectionSummary {
  connectionId: string;
  workerId: string;
  /** when it was opened, ISO 8601 */
  since: string;
  remoteAddress: string;
  /** bytes that wait for the client */
  bufferedBytes: number;
}

/** What a worker says of itself. */
export interface WorkerReport {
  connections: number;
  /** channels that its own connections are on */
  channels: number;
  /** channels of the whole hub, as far as it knows */
  knownChannels: number;
  /** how late timers ran, 99th percentile of the last 10 s */
  eventLoopLagMs: number;
  /** share of the last 10 s in which the event loop was busy, 0 to 1 */
  eventLoopUtilization: number;
  residentBytes: number;
  heapUsedBytes: number;
  /** bytes that wait for its siblings, together and for each */
  linkQueueBytes: number;
  linkQueues: { workerId: string; bytes: number }[];
  /** every sibling is linked */
  linked: boolean;
}

/** A worker as `GET /state` shows it. */
export interface WorkerState extends WorkerReport {
  workerId: string;
  /** its place, 0 to the number of workers less one; kept by its successor */
  slot: number;
  /** which generation of workers it belongs to: one more after each reload */
  generation: number;
  pid: number;
  state: string;
  uptimeSeconds: number;
}

interface ListPart {
  channels: { channel: string; connections: number }[];
  truncated: boolean;
}

export interface Actions {
  delete_channel: {
    input: { channel: string };
    part: { closed: number };
    answer: { channel: string; closed: number };
  };
  kill_connection: {
    input: { channel: string; connectionId: string; workerId: string };
    part: { closed: number };
    answer: { channel: string; connectionId: string; workerId: string; closed: number };
  };
  close_user: {
    /** closes all connections whose token has this `sub` */
    input: { user: string };
    part: { closed: number };
    answer: { user: string; closed: number };
  };
  list_channels: {
    /** names that begin with `prefix`, the first `limit` of them by name */
    input: { prefix: string; limit: number };
    part: ListPart;
    answer: { channels: ChannelSummary[]; truncated: boolean };
  };
  show_channel: {
    input: { channel: string; limit: number };
    part: { total: number; connections: ConnectionSummary[] };
    answer: { channel: string; total: number; connections: ConnectionSummary[] };
  };
  publish: {
    /** `payload` is JSON text, published as it is */
    input: { channel: string; payload: string };
    part: Record<string, never>;
    answer: { channel: string };
  };
  state: {
    /** at most `limit` channels are listed */
    input: { limit: number };
    part: WorkerReport & { list: ListPart };
    answer: {
      version: string;
      node: string;
      uptimeSeconds: number;
      totals: { workers: number; connections: number; channels: number };
      workers: WorkerState[];
      channels: ChannelSummary[];
      truncated: boolean;
    };
  };
}

export type ActionName = keyof Actions;

/**
 * How long a worker may take for its part, in milliseconds. Closing a connection takes 100 µs, and a channel may have
 * 100 000; an HTTP request is answered within a minute (`answerTimeoutMs`).
 */
export function partTimeoutMs(action: ActionName): number {
  return action === 'delete_channel' || action === 'close_user' ? 45_000 : 2_000;
}
export type ActionInput<A extends ActionName> = Actions[A]['input'];
export type PartialResult<A extends ActionName> = Actions[A]['part'];
export type ActionResult<A extends ActionName> = Actions[A]['answer'];

/**
 * Asks the whole hub. Rejects with a HubError: not_found, worker_timeout or unavailable. `trace` is the traceparent
 * of the request that asks, where it is traced.
 */
export type Execute = <A extends ActionName>(
  action: A,
  input: ActionInput<A>,
  trace?: string,
) => Promise<ActionResult<A>>;
