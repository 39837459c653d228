/** Sends a worker's messages to the primary, over node:cluster's IPC. */
import type { ToPrimary } from './messages.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';

/** the primary as the callee of a worker's calls */
export const primary = 'the primary';

/** Sends a message. Errors are ignored: if the primary is dead, the event `disconnect` follows. */
export function sendToPrimary(message: ToPrimary): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

/** Reports that the start, or a request of the primary, failed. */
export function reportFailure(error: unknown): void {
  sendToPrimary({ kind: 'failed', message: messageOf(error), operator: error instanceof OperatorError });
}

/** Resolves when the message has left this process, or cannot. */
export function sendAndFlush(message: ToPrimary): Promise<void> {
  return new Promise((resolve) => {
    if (!process.send || !process.connected) resolve();
    else
      process.send(message, undefined, undefined, () => {
        resolve();
      });
  });
}
