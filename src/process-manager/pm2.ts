/**
 * PM2, and whoever else starts the hub with an IPC channel: it is sent `ready`, and may send `shutdown`. What
 * else comes over the channel is left alone.
 */
import type { ServiceManager } from './manager.ts';

/** The part of `process` that is used; `send` is there only where the parent made a channel. */
export interface ParentChannel {
  send?(message: string, handle: undefined, options: undefined, done: () => void): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** Null where there is no such parent. */
export function pm2(parent: ParentChannel): ServiceManager | null {
  if (!parent.send) return null;
  return {
    ready: () => {
      // A parent that has gone away is told nothing: without the callback this process would die of it.
      parent.send?.('ready', undefined, undefined, () => undefined);
    },
    reloading: () => undefined,
    stopping: () => undefined,
    alive: () => undefined,
    watchdogMs: null,
    onStop: (stop) => {
      parent.on('message', (message) => {
        if (message === 'shutdown') stop();
      });
    },
  };
}
