/**
 * Executes commands of the server API for one caller: checks what the caller may do, runs the method, and records the result. A
 * failed command has an error in its reply; the others are executed all the same.
 */
import type { Caller } from '../../auth/api-keys.ts';
import { HubError } from '../../platform/errors.ts';
import type { Execute } from '../action.ts';
import { checkPermission } from '../permission.ts';
import { ApiError, apiErrorBody, type ApiErrorBody } from './errors.ts';
import type { CommandTarget, Method, MethodContext } from './method.ts';
import { methodOf, unavailableMethods } from './methods.ts';
import type { Texts } from './texts.ts';

/** A command that has been read and not checked. */
export interface NamedCommand {
  /** of the method */
  name: string;
  params: Texts;
}

/** The result of a command, as JSON text, or its error. */
export type Reply = { result: string } | { error: ApiErrorBody };

export interface CommandsOptions {
  caller: Caller;
  maxPayload: number;
  perform: Execute;
  /** Called with each command of a method. @param result `done` or a code of the hub or of the API */
  record: (action: Method['action'], target: CommandTarget, result: string) => void;
  /** Called with unexpected errors. */
  failed: (error: unknown, method: string) => void;
}

/** Commands of a batch that are executed at the same time. */
const maxParallel = 16;
/** Commands that a batch has not begun by then are not executed: the response is due within a minute (`answerTimeoutMs`). */
const maxBatchMs = 40_000;

export class Commands {
  readonly #options: CommandsOptions;
  readonly #context: MethodContext;

  constructor(options: CommandsOptions) {
    const { caller, maxPayload, perform } = options;
    this.#options = options;
    this.#context = { channels: caller.channels, maxPayload, perform };
  }

  async execute(name: string, params: Texts): Promise<Reply> {
    const method = methodOf(name);
    try {
      if (!method) throw absent(name);
      return { result: await this.#run(method, params) };
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof HubError)) this.#options.failed(error, name);
      return { error: apiErrorBody(error) };
    }
  }

  /** Executes commands in their order, or several at a time. @returns their replies, in the same order */
  async executeAll(commands: readonly NamedCommand[], isParallel: boolean): Promise<Reply[]> {
    const until = performance.now() + maxBatchMs;
    const replies: Reply[] = [];
    const queue = commands.entries();
    const work = async (): Promise<void> => {
      for (const [index, { name, params }] of queue) {
        replies[index] = performance.now() < until ? await this.execute(name, params) : tooLate;
      }
    };
    await Promise.all(Array.from({ length: isParallel ? maxParallel : 1 }, work));
    return replies;
  }

  async #run(method: Method, params: Texts): Promise<string> {
    const { caller, record } = this.#options;
    const { action } = method;
    let target: CommandTarget = {};
    try {
      checkPermission(action, caller);
      const command = method.read(params);
      target = command.target;
      const result = await command.run(this.#context);
      record(action, target, 'done');
      return result;
    } catch (error) {
      record(
        action,
        target,
        error instanceof HubError || error instanceof ApiError ? error.code : 'internal',
      );
      throw error;
    }
  }
}

const tooLate: Reply = {
  error: apiErrorBody(new ApiError('internal', 'the batch took too long; this command was not executed')),
};

function absent(name: string): ApiError {
  return unavailableMethods.includes(name)
    ? new ApiError('not_available', `${name} is not supported`)
    : new ApiError('method_not_found', 'there is no such method');
}
