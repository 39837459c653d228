/**
 * Calls over a channel that only carries messages, between primary and workers or between two workers. A call has a
 * number under which its answer comes, a deadline, and a callee; it ends in any case: with its answer, an error, the end
 * of the callee, or the deadline.
 */

/** No answer came in time. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** The process that was to answer has ended, or is not known. */
export class GoneError extends Error {
  override readonly name = 'GoneError';
}

export interface RpcCall {
  /** the process that is to answer, as errors name it */
  callee: string;
  /** the name of the request in errors */
  name: string;
  /** how long it may take */
  timeoutMs: number;
  /** Sends the call under its number. Returns false where there is no such callee. */
  send: (id: number) => boolean;
  /** Called with the answer before any message behind it is read; the promise resolves later. */
  take?: (value: unknown) => void;
}

interface PendingCall {
  callee: string;
  take: (value: unknown) => void;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  deadline: NodeJS.Timeout;
}

export class RpcClient {
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;

  /** Calls that have not ended. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Resolves with the answer. Rejects with a DeadlineError, with a GoneError, or with what `fail` is given.
   * @throws what `send` throws, at once and not as a rejection: nothing was sent
   */
  call({ callee, name, timeoutMs, send, take = () => undefined }: RpcCall): Promise<unknown> {
    const id = ++this.#lastId;
    if (!send(id)) return Promise.reject(new GoneError(`no ${callee}`));
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.fail(callee, id, new DeadlineError(`${callee} did not answer "${name}" within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { callee, take, resolve, reject, deadline });
    });
  }

  /** The callee has answered. An answer behind the deadline, or to a call of another, is ignored. */
  answer(callee: string, id: number, value: unknown): void {
    const pending = this.#end(callee, id);
    pending?.take(value);
    pending?.resolve(value);
  }

  /** The callee has answered with an error. */
  fail(callee: string, id: number, error: Error): void {
    this.#end(callee, id)?.reject(error);
  }

  /** The callee has ended: so do its calls. */
  gone(callee: string): void {
    for (const [id, pending] of this.#pending) {
      if (pending.callee === callee) this.fail(callee, id, new GoneError(`${callee} is gone`));
    }
  }

  #end(callee: string, id: number): PendingCall | undefined {
    const pending = this.#pending.get(id);
    if (pending?.callee !== callee) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.deadline);
    return pending;
  }
}
