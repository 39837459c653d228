/**
 * What an admin action is: one file in actions/ and one row in actions.ts. An action reads its input from a request,
 * the workers that it concerns do their parts, and the answer is made of the parts. Routes, metric labels and the
 * checks of messages between processes are derived from the table.
 */
import type { z } from 'zod';
import type { ClientRegistry } from '../client/client-registry.ts';
import type { Client } from '../client/client.ts';
import type { Scope } from '../config/api-keys-file.ts';
import type { Hub } from '../hub.ts';
import type { Counters } from '../metrics/counters.ts';
import type { ProcessStats } from '../metrics/process-stats.ts';
import type { Mesh } from '../relay/mesh/mesh.ts';
import { HubError } from '../platform/errors.ts';

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  /** `:name` is a parameter */
  path: string;
  /** true: it does not stand under `/admin` too */
  onlyAtRoot?: true;
}

/** A request as an action reads it. Every method throws a HubError where the request is not valid. */
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
  /** The body, which is JSON, as the text that was sent. */
  json(): Promise<string>;
  /** The body of a batch, which may not be JSON. */
  batch(): Promise<string>;
  /** bytes that one message may have */
  readonly maxPayload: number;
}

export interface PageRequest {
  /** only what comes after this name; empty: from the first */
  after: string;
  limit: number;
}

/** What a worker does its part on. */
export interface WorkerParts {
  hub: Hub;
  clients: ClientRegistry<Client>;
  mesh: Mesh;
  counters: Counters;
  probe: ProcessStats;
}

/** A worker as the primary knows it; worker-process.ts fits. */
export interface AskedWorker {
  readonly id: string;
  /** its place, 0 to the number of workers less one; kept by its successor */
  readonly slot: number;
  /** one more after each reload */
  readonly generation: number;
  readonly pid: number;
  readonly state: string;
  /** milliseconds of the monotonic clock */
  readonly startedAt: number;
}

/** What one worker answered. */
export interface WorkerPart<Part> {
  worker: AskedWorker;
  part: Part;
}

/** What the primary knows of itself, and what it can do. */
export interface PrimaryParts {
  version: string;
  /** milliseconds of the monotonic clock */
  startedAt: number;
  /** Starts a reload, or queues it behind the one in progress. @throws {HubError} the hub is starting or stopping */
  reload(): 'started' | 'queued';
}

/**
 * Which workers do a part:
 *
 *   all         every worker that has clients
 *   one         any worker, and at most one: it is never done twice, its part is the answer
 *   {workerId}  that worker, if it is there
 *   none        no worker: the primary executes the action
 */
export type Target = 'all' | 'one' | 'none' | { workerId: string };

/** One request for an action, with its input. */
export interface Call<Answer = unknown> {
  /** name of the action */
  readonly name: string;
  /** as it crosses to another process */
  readonly input: unknown;
  readonly target: Target;
  /** how long a worker may take for its part */
  readonly timeoutMs: number;
  /** Does this worker's part. */
  part(on: WorkerParts): Promise<unknown>;
  /** Checks a part that came from another process. @throws it is none */
  parsePart(part: unknown): unknown;
  /** The answer made of parts that `parsePart` returned. @throws {HubError} there is none */
  merge(parts: readonly WorkerPart<unknown>[], primary: PrimaryParts): Answer;
}

/** An action as the table has it. */
export interface Action<Name extends string = string, Answer = unknown> {
  /** stands in metrics and the log */
  readonly name: Name;
  readonly routes: readonly Route[];
  /** what an API key must be for */
  readonly scope: Scope;
  /** see CommonSpec */
  readonly byChannel: boolean;
  /** level at which each request is logged */
  readonly audit: 'info' | 'debug';
  /** HTTP status of an answer */
  readonly status: 200 | 202;
  /** Reads a request. Rejects with a HubError. */
  read(request: AdminRequest): Promise<Call<Answer>>;
  /** Reads what came from another process; null: it is no input of this action. */
  parse(input: unknown): Call<Answer> | null;
}

/** Carries a call out in the whole hub. Rejects with a HubError. `trace` is the traceparent of a traced request. */
export type Execute = (call: Call, trace?: string) => Promise<unknown>;

interface CommonSpec<Name extends string, Input> {
  name: Name;
  routes: readonly Route[];
  scope: Scope;
  /** `read` or `run` keeps to the channels of the caller; absent: an API key needs all channels for this action */
  byChannel?: true;
  audit: 'info' | 'debug';
  /** 200 by default */
  status?: 202;
  /** 2 s by default; an HTTP request is answered within a minute (`answerTimeoutMs`) */
  timeoutMs?: number;
  input: z.ZodType<Input>;
  read: (request: AdminRequest) => Input | Promise<Input>;
}

interface ActionSpec<Name extends string, Input, Part, Answer> extends CommonSpec<Name, Input> {
  /** the only worker that it concerns; absent: all */
  workerId?(input: Input): string;
  part: z.ZodType<Part>;
  /** A worker's part. One that walks through many connections or channels takes several turns of the event loop. */
  run(on: WorkerParts, input: Input): Part | Promise<Part>;
  merge(parts: readonly WorkerPart<Part>[], input: Input, primary: PrimaryParts): Answer;
}

interface PrimaryActionSpec<Name extends string, Input, Answer> extends CommonSpec<Name, Input> {
  run(primary: PrimaryParts, input: Input): Answer;
}

interface SingleActionSpec<Name extends string, Input, Answer> extends CommonSpec<Name, Input> {
  answer: z.ZodType<Answer>;
  run(on: WorkerParts, input: Input): Answer | Promise<Answer>;
}

const defaultTimeoutMs = 2_000;

/** An action of which each worker, or the one that it names, does a part. */
export function defineAction<Name extends string, Input, Part, Answer>(
  spec: ActionSpec<Name, Input, Part, Answer>,
): Action<Name, Answer> {
  return actionOf(spec, (input) => ({
    target: spec.workerId ? { workerId: spec.workerId(input) } : 'all',
    part: async (on) => spec.run(on, input),
    parsePart: (part) => spec.part.parse(part),
    merge: (parts, primary) => spec.merge(parts as readonly WorkerPart<Part>[], input, primary),
  }));
}

/** An action that any one worker does alone. */
export function defineSingleAction<Name extends string, Input, Answer>(
  spec: SingleActionSpec<Name, Input, Answer>,
): Action<Name, Answer> {
  return actionOf(spec, (input) => ({
    target: 'one',
    part: async (on) => spec.run(on, input),
    parsePart: (part) => spec.answer.parse(part),
    merge: ([done]) => {
      if (!done) throw new HubError('unavailable');
      return done.part as Answer;
    },
  }));
}

/** An action that the primary executes. */
export function definePrimaryAction<Name extends string, Input, Answer>(
  spec: PrimaryActionSpec<Name, Input, Answer>,
): Action<Name, Answer> {
  return actionOf(spec, (input) => ({
    target: 'none',
    part: () => Promise.resolve(null),
    parsePart: (part) => part,
    merge: (_parts, primary) => spec.run(primary, input),
  }));
}

function actionOf<Name extends string, Input, Answer>(
  spec: CommonSpec<Name, Input>,
  doing: (input: Input) => Pick<Call<Answer>, 'target' | 'part' | 'parsePart' | 'merge'>,
): Action<Name, Answer> {
  const { name, routes, scope, audit, timeoutMs = defaultTimeoutMs, input, read } = spec;
  const call = (given: Input): Call<Answer> => ({ name, timeoutMs, input: given, ...doing(given) });
  return {
    name,
    routes,
    scope,
    byChannel: spec.byChannel ?? false,
    audit,
    status: spec.status ?? 200,
    read: async (request) => call(await read(request)),
    parse: (value) => {
      const parsed = input.safeParse(value);
      return parsed.success ? call(parsed.data) : null;
    },
  };
}
