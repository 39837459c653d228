/** The end of the hub: by a signal or by the process manager's word, once; a second time ends it at once. */

/** Numbers of the signals that end the hub, for the exit code of an interrupted stop. */
const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export type StopCause = keyof typeof signals | 'shutdown';

export interface StopHost {
  /** Calls back when the process manager wants the hub to stop. */
  onStop(stop: () => void): void;
  /** Calls back when the terminal of the hub is closed. */
  onTerminalClosed(stop: () => void): void;
  /** Ends everything in order. */
  stop(cause: StopCause): Promise<void>;
  /** Ends everything now, without waiting for anything. */
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
