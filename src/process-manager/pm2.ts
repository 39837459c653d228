/**
 * PM2, and any other parent that starts the hub with an IPC channel: receives `ready`, and may send `shutdown`. Other messages are
 * ignored.
 */
import type { ServiceManager } from './manager.ts';

/** The part of `process` that is used; `send` exists only with an IPC channel. */
export interface ParentChannel {
  send?(message: string, handle: undefined, options: undefined, done: () => void): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** Returns null without such a parent. */
export function pm2(parent: ParentChannel): ServiceManager | null {
  if (!parent.send) return null;
  return {
    ready: () => {
      // The parent may have exited: without the callback the error would end this process.
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
