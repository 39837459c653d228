/** A worker's word to the primary, over node:cluster's IPC. */
import type { ToPrimary } from './messages.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';

/** Where the primary is gone it is left alone: the event `disconnect` says the rest. */
export function sendToPrimary(message: ToPrimary): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

/** The start failed, or what was asked cannot be done. */
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
