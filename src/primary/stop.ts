/** Stops the hub on a signal or a request of the process manager; a second one makes it exit at once. */

/** Numbers of the signals that stop the hub, for the exit code of an interrupted stop. */
const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export type StopCause = keyof typeof signals | 'shutdown';

export interface StopHost {
  /** Registers a callback for a stop request of the process manager. */
  onStop(stop: () => void): void;
  /** Registers a callback for the end of the hub's terminal. */
  onTerminalClosed(stop: () => void): void;
  /** Stops gracefully. */
  stop(cause: StopCause): Promise<void>;
  /** Stops at once, without waiting. */
  abort(cause: StopCause): void;
}

/** Resolves when the hub has been stopped. */
export function stopOnSignal(host: StopHost): Promise<undefined> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const onCause = (cause: StopCause) => {
      if (stopping) {
        host.abort(cause);
        process.exit(128 + (cause === 'shutdown' ? signals.SIGTERM : signals[cause]));
      }
      stopping = true;
      host.stop(cause).then(() => {
        resolve(undefined);
      }, reject);
    };
    process.on('SIGTERM', onCause);
    process.on('SIGINT', onCause);
    host.onStop(() => {
      onCause('shutdown');
    });
    host.onTerminalClosed(() => {
      if (!stopping) onCause('SIGHUP'); // the shell and the kernel both send one
    });
  });
}
