/**
 * The interface of admin actions: each is one file in actions/ and one row in actions.ts. An action reads its input from a
 * request, the workers that it targets execute their parts, and the parts are merged into the answer. Routes, metric labels and
 * the validation of messages between processes are derived from the table.
 */
import type { z } from 'zod';
import type { ClientRegistry } from '../client/client-registry.ts';
import type { Client } from '../client/client.ts';
import type { Scope } from '../config/api-keys-file.ts';
import type { Hub } from '../hub.ts';
import type { Counters } from '../metrics/counters.ts';
import type { ProcessStats } from '../metrics/process-stats.ts';
import type { Mesh } from '../relay/mesh/mesh.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { HubError } from '../platform/errors.ts';

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  /** `:name` is a parameter */
  path: string;
  /** true: not served under `/admin` as well */
  onlyAtRoot?: true;
}

/** The request of an action. Every method throws a HubError if the request is invalid. */
export interface AdminRequest {
  parameter(name: string): string;
  /** the parameter `channel`, a valid name of a channel that the caller may use */
  channel(): string;
  /** patterns of the channels that the caller may use */
  readonly channels: readonly string[];
  query(name: string): string | undefined;
  /** `after` and `limit` of a list */
  page(): PageRequest;
  header(name: string): string | undefined;
  /** Returns the JSON body as text, unchanged. */
  json(): Promise<string>;
  /** Returns the body of a batch, unchecked. */
  batch(): Promise<string>;
  /** maximum bytes of one message */
  readonly maxPayload: number;
}

export interface PageRequest {
  /** items after this name only; empty: from the first one */
  after: string;
  limit: number;
}

/** The parts of the worker that actions use. */
export interface WorkerParts {
  hub: Hub;
  clients: ClientRegistry<Client>;
  /** Sets when a client is closed. @param expiresAt Unix time in seconds; Infinity: never */
  renew: (client: Client, expiresAt: number) => void;
  mesh: Mesh;
  counters: Counters;
  probe: ProcessStats;
  tracing: Tracing;
  /** traceparent of the request; absent: it is not traced */
  trace?: string | undefined;
}

/** The primary's view of a worker; implemented by worker-process.ts. */
export interface AskedWorker {
  readonly id: string;
  /** its slot, from 0; kept by its successor */
  readonly slot: number;
  /** incremented by each reload */
  readonly generation: number;
  readonly pid: number;
  readonly state: string;
  /** milliseconds of the monotonic clock of the primary that answers */
  readonly startedAt: number;
  /** the machine that it is on; absent: the hub has one machine */
  readonly machine?: string;
}

/** The field of an answer that names the machine of a worker; none where the hub has one machine. */
export function onMachine({ machine }: AskedWorker): { machine?: string } {
  return machine === undefined ? {} : { machine };
}

/** The part of one worker. */
export interface WorkerPart<Part> {
  worker: AskedWorker;
  part: Part;
}

/** The part of the primary that actions use. */
export interface PrimaryParts {
  version: string;
  /** milliseconds of the monotonic clock */
  startedAt: number;
  /** only this machine was asked, because the engine that machines share is not reached */
  isPartial?: true;
  /** Starts a reload, or queues it behind the one in progress. @throws {HubError} the hub is starting or stopping */
  reload(): 'started' | 'queued';
}

/**
 * The workers that execute a part:
 *
 *   all         every worker that serves
 *   one         any worker, exactly once at most: its part is the answer
 *   any         any worker; another one where it dies: its part is the answer
 *   {workerId}  that worker, if it exists
 *   none        no worker: the primary executes the action
 */
export type Target = 'all' | 'one' | 'any' | 'none' | { workerId: string };

/** A call of an action, with its input. */
export interface Call<Answer = unknown> {
  /** name of the action */
  readonly name: string;
  /** in the form that is sent to other processes */
  readonly input: unknown;
  readonly target: Target;
  /** time limit for a worker's part */
  readonly timeoutMs: number;
  /** it answers for this machine alone while the others cannot be asked */
  readonly mayBePartial: boolean;
  /** Executes this worker's part. */
  part(on: WorkerParts): Promise<unknown>;
  /** Validates a part from another process. @throws {Error} it is invalid */
  parsePart(part: unknown): unknown;
  /** Merges validated parts into the answer. @throws {HubError} the action failed */
  merge(parts: readonly WorkerPart<unknown>[], primary: PrimaryParts): Answer;
}

/** A row of the table of actions. */
export interface Action<Name extends string = string, Answer = unknown> {
  /** used in metrics and the log */
  readonly name: Name;
  readonly routes: readonly Route[];
  /** scope that an API key needs */
  readonly scope: Scope;
  /** see CommonSpec */
  readonly byChannel: boolean;
  /** level at which each request is logged */
  readonly audit: 'info' | 'debug';
  /** HTTP status of an answer */
  readonly status: 200 | 202;
  /** Reads a request. Rejects with a HubError. */
  read(request: AdminRequest): Promise<Call<Answer>>;
  /** Validates an input from another process; null: invalid. */
  parse(input: unknown): Call<Answer> | null;
}

/** An action that the source calls with an input of its own. */
export interface CallableAction<Name extends string, Input, Answer> extends Action<Name, Answer> {
  call(input: Input): Call<Answer>;
}

/** Executes a call on the whole hub. Rejects with a HubError. `trace`: traceparent of a traced request. */
export type Execute = <Answer>(call: Call<Answer>, trace?: string) => Promise<Answer>;

interface CommonSpec<Name extends string, Input> {
  name: Name;
  /** absent, with `read`: only methods of the server API perform it */
  routes?: readonly Route[];
  scope: Scope;
  /** `read` or `run` checks the channels of the caller; absent: an API key needs all channels */
  byChannel?: true;
  audit: 'info' | 'debug';
  /** 200 by default */
  status?: 202;
  /** 2 s by default; an HTTP request is answered within a minute (`answerTimeoutMs`) */
  timeoutMs?: number;
  input: z.ZodType<Input>;
  read?: (request: AdminRequest) => Input | Promise<Input>;
}

interface ActionSpec<Name extends string, Input, Part, Answer> extends CommonSpec<Name, Input> {
  /** see Call */
  mayBePartial?: true;
  /** the only worker that it targets; absent: all */
  workerId?(input: Input): string;
  part: z.ZodType<Part>;
  /** A worker's part. Iterations over many connections or channels must take several turns of the event loop. */
  run(on: WorkerParts, input: Input): Part | Promise<Part>;
  merge(parts: readonly WorkerPart<Part>[], input: Input, primary: PrimaryParts): Answer;
}

interface PrimaryActionSpec<Name extends string, Input, Answer> extends CommonSpec<Name, Input> {
  run(primary: PrimaryParts, input: Input): Answer;
}

interface SingleActionSpec<Name extends string, Input, Answer> extends CommonSpec<Name, Input> {
  answer: z.ZodType<Answer>;
  /** another worker may repeat it */
  isRepeatable?: true;
  run(on: WorkerParts, input: Input): Answer | Promise<Answer>;
}

const defaultTimeoutMs = 2_000;

/** Defines an action of which every worker, or the targeted one, executes a part. */
export function defineAction<Name extends string, Input, Part, Answer>(
  spec: ActionSpec<Name, Input, Part, Answer>,
): CallableAction<Name, Input, Answer> {
  return actionOf(spec, (input) => ({
    target: spec.workerId ? { workerId: spec.workerId(input) } : 'all',
    mayBePartial: spec.mayBePartial ?? false,
    part: async (on) => spec.run(on, input),
    parsePart: (part) => spec.part.parse(part),
    merge: (parts, primary) => spec.merge(parts as readonly WorkerPart<Part>[], input, primary),
  }));
}

/** Defines an action that any single worker executes. */
export function defineSingleAction<Name extends string, Input, Answer>(
  spec: SingleActionSpec<Name, Input, Answer>,
): CallableAction<Name, Input, Answer> {
  return actionOf(spec, (input) => ({
    target: spec.isRepeatable ? 'any' : 'one',
    mayBePartial: false,
    part: async (on) => spec.run(on, input),
    parsePart: (part) => spec.answer.parse(part),
    merge: ([done]) => {
      if (!done) throw new HubError('unavailable');
      return done.part as Answer;
    },
  }));
}

/** Defines an action that the primary executes. */
export function definePrimaryAction<Name extends string, Input, Answer>(
  spec: PrimaryActionSpec<Name, Input, Answer>,
): CallableAction<Name, Input, Answer> {
  return actionOf(spec, (input) => ({
    target: 'none',
    mayBePartial: false,
    part: () => Promise.resolve(null),
    parsePart: (part) => part,
    merge: (_parts, primary) => spec.run(primary, input),
  }));
}

function actionOf<Name extends string, Input, Answer>(
  spec: CommonSpec<Name, Input>,
  doing: (input: Input) => Omit<Call<Answer>, 'name' | 'timeoutMs' | 'input'>,
): CallableAction<Name, Input, Answer> {
  const { name, routes = [], scope, audit, timeoutMs = defaultTimeoutMs, input, read } = spec;
  const call = (given: Input): Call<Answer> => ({ name, timeoutMs, input: given, ...doing(given) });
  return {
    name,
    routes,
    scope,
    byChannel: spec.byChannel ?? false,
    audit,
    status: spec.status ?? 200,
    call,
    read: async (request) => {
      if (!read) throw new HubError('not_found');
      return call(await read(request));
    },
    parse: (value) => {
      const parsed = input.safeParse(value);
      return parsed.success ? call(parsed.data) : null;
    },
  };
}
