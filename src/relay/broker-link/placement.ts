/** The wait of a publisher for the position of its publication. */
import type { Position } from '../../channel/position.ts';
import { HubError } from '../../platform/errors.ts';

/** Called with the position of a publication; null: it has none, or its position is no longer known. */
export type Placed = (position: Position | null) => void;

/**
 * Publishes in this turn, and resolves with the position. Rejects with what `publish` throws, and with `outcomeUnknown` after
 * `timeoutMs`.
 * @param publish calls `placed`, unless the broker dies
 */
export function placement(publish: (placed: Placed) => void, timeoutMs: number): Promise<Position | null> {
  return inTime(
    new Promise((resolve) => {
      publish(resolve);
    }),
    timeoutMs,
  );
}

/** Resolves with the promise. @throws {HubError} as a rejection: `outcomeUnknown` after `timeoutMs` */
export async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(outcomeUnknown());
    }, timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

export function outcomeUnknown(): HubError {
  const message =
    'the broker did not answer in time; outcome unknown: the message may be stored, or may still be';
  return new HubError('worker_timeout', message);
}
