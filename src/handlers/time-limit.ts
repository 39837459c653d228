/** The time limit of a user function that must give a result. */

export function noResultWithin(timeoutMs: number): Error {
  return new Error(`no result within ${timeoutMs} ms`);
}

/** Resolves or rejects like the result. Rejects when the time limit has passed. */
export async function withTimeLimit<T>(result: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(noResultWithin(timeoutMs));
    }, timeoutMs);
  });
  try {
    return await Promise.race([result, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
