/**
 * Questions and answers over a channel that only carries messages: each question has a number and a deadline,
 * so it ends in any case.
 */

/** No answer came in time. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

interface PendingCall {
  take: (value: unknown) => void;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  deadline: NodeJS.Timeout;
}

export class RpcClient {
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;

  /**
   * @param send gives the question with this number to the other side
   * @param take called with the answer before anything that came behind it is; the promise resolves later
   * @throws {DeadlineError} as a rejection, after `timeoutMs` without an answer
   */
  call(
    send: (id: number) => void,
    timeoutMs: number,
    take: (value: unknown) => void = () => undefined,
  ): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#pending.delete(id);
        reject(new DeadlineError(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { take, resolve, reject, deadline });
      send(id);
    });
  }

  /** The other side has answered; an answer to nothing, or after its deadline, is left alone. */
  answer(id: number, value: unknown): void {
    const pending = this.#take(id);
    pending?.take(value);
    pending?.resolve(value);
  }

  /** The other side refused, or is gone. */
  fail(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: Error): void {
    for (const id of this.#pending.keys()) this.fail(id, error);
  }

  #take(id: number): PendingCall | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.deadline);
    return pending;
  }
}
