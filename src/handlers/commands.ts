/**
 * Commands between workers: a call is sent over the link to the sibling that executes it; the result returns with the id of the
 * call.
 */
import { z } from 'zod';
import type { Hub } from '../hub.ts';
import { RpcClient } from '../ipc/rpc.ts';
import { messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { CallHost, Mesh } from '../relay/mesh/mesh.ts';
import type { CommandContext, CommandHandler, CommandOutcome, HubHandle } from './define.ts';
import { hubHandle } from './handle.ts';
import type { LoadedHandlers } from './load.ts';

const callShape = z.object({
  id: z.number(),
  broadcast: z.boolean(),
  name: z.string(),
  payload: z.unknown().optional(),
});

const resultShape = z.object({
  id: z.number(),
  value: z.unknown().optional(),
  error: z.string().optional(),
});

/** The part of the mesh that commands need. */
export type CommandLinks = Pick<Mesh, 'callable' | 'send'>;

export class Commands implements CallHost {
  /** the hub, as handlers see it */
  readonly handle: HubHandle;
  readonly #workerId: string;
  readonly #mesh: CommandLinks;
  readonly #handlers: LoadedHandlers;
  readonly #timeoutMs: number;
  readonly #log: Log;
  /** pending calls to siblings */
  readonly #calls = new RpcClient();
  /** calls received before this worker was linked to all siblings; null: it is linked */
  #early: (() => void)[] | null = [];
  /** calls of siblings without a sent result */
  #running = 0;

  /** @param timeoutMs time limit for the answer of a sibling */
  constructor(hub: Hub, mesh: CommandLinks, handlers: LoadedHandlers, timeoutMs: number, log: Log) {
    this.handle = hubHandle(hub, this);
    this.#workerId = hub.workerId;
    this.#mesh = mesh;
    this.#handlers = handlers;
    this.#timeoutMs = timeoutMs;
    this.#log = log;
  }

  /** @see HubHandle.command */
  async command(name: string, payload: unknown, workerId: string): Promise<unknown> {
    return workerId === this.#workerId
      ? this.#run(this.#handlers.commands, name, payload, workerId)
      : this.#ask(workerId, false, name, payload);
  }

  /** @see HubHandle.broadcastCommand */
  async broadcastCommand(name: string, payload: unknown): Promise<CommandOutcome[]> {
    const siblings = this.#mesh.callable();
    let asked: Promise<CommandOutcome>[];
    try {
      asked = siblings.map((sibling) => outcome(sibling, this.#ask(sibling, true, name, payload)));
    } catch (error) {
      // A call that cannot be sent to the siblings does not run here either.
      return [this.#workerId, ...siblings].map((workerId) => ({ workerId, error: messageOf(error) }));
    }
    const own = this.#run(this.#handlers.broadcastCommands, name, payload, this.#workerId);
    return Promise.all([outcome(this.#workerId, own), ...asked]);
  }

  /** Called with each call of a sibling. */
  call(from: string, value: unknown): void {
    const call = callShape.safeParse(value);
    if (!call.success) {
      this.#log.warn({ sibling: from }, 'a call between workers was not understood');
      return;
    }
    const answer = () => void this.#answer(from, call.data);
    // Publications of a command must reach all workers, and a new worker is linked to some of them earlier than to others.
    if (this.#early) this.#early.push(answer);
    else answer();
  }

  /** Called when this worker is linked to all siblings: executes their calls from now on. */
  open(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const answer of early) answer();
  }

  /** No command is in progress: neither here for a sibling, nor in a sibling for this worker. */
  get idle(): boolean {
    return this.#running === 0 && this.#calls.size === 0;
  }

  /** Called with each answer of a sibling. */
  result(from: string, value: unknown): void {
    const result = resultShape.safeParse(value);
    if (!result.success) return; // the call times out
    const { id, value: answer, error } = result.data;
    if (error === undefined) this.#calls.answer(calleeOf(from), id, answer);
    else this.#calls.fail(calleeOf(from), id, new Error(error));
  }

  /** Called when the link to a sibling is closed. */
  linkClosed(sibling: string): void {
    this.#calls.gone(calleeOf(sibling));
  }

  async #answer(from: string, { id, broadcast, name, payload }: z.infer<typeof callShape>): Promise<void> {
    const handlers = broadcast ? this.#handlers.broadcastCommands : this.#handlers.commands;
    this.#running += 1;
    await this.#run(handlers, name, payload, from)
      .then((result) => this.#mesh.send(from, 'result', { id, value: result }))
      .catch((error: unknown) =>
        this.#mesh.send(from, 'result', { id, error: messageOf(error).slice(0, 4_096) }),
      );
    this.#running -= 1;
  }

  async #run(
    handlers: ReadonlyMap<string, CommandHandler>,
    name: string,
    payload: unknown,
    from: string,
  ): Promise<unknown> {
    const handler = handlers.get(name);
    if (!handler) throw new Error(`no command "${name}"`);
    const context: CommandContext = { hub: this.handle, from };
    try {
      return await handler(payload, context);
    } catch (error) {
      this.#log.error({ err: error, command: name, from }, 'command failed');
      throw error;
    }
  }

  /** @throws {HubError} `message_too_big`, synchronously: nothing was sent */
  #ask(sibling: string, broadcast: boolean, name: string, payload: unknown): Promise<unknown> {
    return this.#calls.call({
      callee: calleeOf(sibling),
      name,
      timeoutMs: this.#timeoutMs,
      send: (id) => this.#mesh.send(sibling, 'call', { id, broadcast, name, payload }),
    });
  }
}

/** Name of a sibling in errors. */
function calleeOf(sibling: string): string {
  return `worker ${sibling}`;
}

async function outcome(workerId: string, result: Promise<unknown>): Promise<CommandOutcome> {
  try {
    return { workerId, value: await result };
  } catch (error) {
    return { workerId, error: messageOf(error) };
  }
}
