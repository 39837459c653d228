/**
 * Runs the user's functions for clients, those of one client strictly one after the other. While an async function
 * runs, the hub stops reading from the client, so the number of waiting messages is limited by the bytes that were
 * already read.
 */
import type { Client } from '../client/client.ts';
import { noResultWithin, withTimeLimit } from './time-limit.ts';

/** The messages of one client that wait for a user function. */
export interface ClientQueue {
  readonly client: Client;
  /** a user function is running, so later messages wait */
  busy: boolean;
  readonly waiting: (() => void)[];
}

export class HandlerRunner {
  readonly #timeoutMs: number;
  /** number of user functions that have neither ended nor timed out */
  #running = 0;
  /** messages that wait for a user function are dropped */
  #stopped = false;

  /** @param timeoutMs deadline of a user function */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Returns whether no user function is running and no message waits for one. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** Drops the waiting messages, because the worker must end. */
  stop(): void {
    this.#stopped = true;
  }

  /** Handles a message after the running function of its client. */
  defer({ client, waiting }: ClientQueue, handle: () => void): void {
    waiting.push(() => {
      if (!client.evicted && !this.#stopped) handle();
    });
    if (!client.pausedFor('handler')) client.pause('handler');
  }

  /**
   * Runs a user function. If it is async, later messages wait for its result or its deadline.
   * @param failed called with the error of the function or of `done`
   */
  run(
    queue: ClientQueue,
    start: () => unknown,
    done: (result: unknown) => void,
    failed: (error: unknown) => void,
  ): void {
    try {
      const result = start();
      if (isThenable(result)) this.#await(queue, result, done, failed);
      else done(result);
    } catch (error) {
      failed(error);
    }
  }

  /** Runs a user function outside of the queues. Rejects with its error, or at its time limit. */
  async once(start: () => unknown): Promise<unknown> {
    this.#running += 1;
    try {
      return await withTimeLimit(settled(start()), this.#timeoutMs);
    } finally {
      this.#running -= 1;
    }
  }

  #await(
    queue: ClientQueue,
    result: PromiseLike<unknown>,
    done: (result: unknown) => void,
    failed: (error: unknown) => void,
  ): void {
    queue.busy = true;
    this.#running += 1;
    let over = false;
    const finish = (act: () => void) => {
      if (over) return; // the result arrived after its deadline
      over = true;
      this.#running -= 1;
      clearTimeout(deadline);
      try {
        act();
      } catch (error) {
        failed(error);
      }
      this.#next(queue);
    };
    const fail = (error: unknown) => {
      finish(() => {
        failed(error);
      });
    };
    const deadline = setTimeout(() => {
      fail(noResultWithin(this.#timeoutMs));
    }, this.#timeoutMs);
    settled(result).then((value) => {
      finish(() => {
        done(value);
      });
    }, fail);
  }

  /** Handles the waiting messages, up to the next async function. Resumes reading when none is left. */
  #next(queue: ClientQueue): void {
    queue.busy = false;
    while (queue.waiting.length > 0) {
      queue.waiting.shift()?.();
      if (isBusy(queue)) return;
    }
    queue.client.resume('handler');
  }
}

/** A function, because TypeScript cannot see that a user function has changed the queue. */
function isBusy(queue: ClientQueue): boolean {
  return queue.busy;
}

/** Returns the result of a thenable. `await` handles thenables that throw, call back twice or hide their `then`. */
async function settled(result: unknown): Promise<unknown> {
  return await result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
