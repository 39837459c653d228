/**
 * The handlers of a worker's start and end. A worker whose `onStart` fails does not serve; a failure of `onStop` is
 * logged, and the worker ends all the same.
 */
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { HubHandle, LifecycleHandler } from './define.ts';
import type { LoadedHandlers } from './load.ts';
import { withTimeLimit } from './time-limit.ts';

export class Lifecycle {
  readonly #handlers: Pick<LoadedHandlers, 'onStart' | 'onStop'>;
  readonly #hub: HubHandle;
  readonly #timeoutMs: number;
  readonly #log: Log;
  #started = false;

  /** @param timeoutMs time limit of each handler */
  constructor(
    handlers: Pick<LoadedHandlers, 'onStart' | 'onStop'>,
    hub: HubHandle,
    timeoutMs: number,
    log: Log,
  ) {
    this.#handlers = handlers;
    this.#hub = hub;
    this.#timeoutMs = timeoutMs;
    this.#log = log;
  }

  /**
   * Called when the worker is linked to all siblings, before it accepts clients.
   * @throws {OperatorError} as a rejection: one sentence
   */
  async start(): Promise<void> {
    try {
      const { onStart } = this.#handlers;
      if (onStart) await this.#run('onStart', onStart);
      this.#started = true;
    } catch (cause) {
      throw new OperatorError(`the handler onStart failed: ${messageOf(cause)}`, { cause });
    }
  }

  /**
   * Called when all clients are gone. The promise never rejects.
   * @returns null: there is nothing to wait for
   */
  stop(): Promise<void> | null {
    const { onStop } = this.#handlers;
    if (!onStop || !this.#started) return null;
    return this.#run('onStop', onStop).catch(() => undefined); // it has been logged
  }

  async #run(name: string, handler: LifecycleHandler): Promise<void> {
    try {
      await withTimeLimit(Promise.resolve(this.#hub).then(handler), this.#timeoutMs);
    } catch (error) {
      this.#log.error({ err: error, handler: name }, 'handler failed');
      throw error;
    }
  }
}
