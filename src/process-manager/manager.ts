/**
 * What the process manager that started the hub is told, and what it can say beyond signals. Where there is none,
 * nothing is told.
 */
export interface ServiceManager {
  /** All workers serve. */
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
  /** The hub is well; called every `watchdogMs`, where that is set. */
  alive(): void;
  /** how often the manager must hear that the hub is alive; null where it does not watch */
  readonly watchdogMs: number | null;
  /** Calls back when the manager wants the hub to stop, other than by a signal. */
  onStop(stop: () => void): void;
}

/** Tells all of them. */
export function managers(all: readonly ServiceManager[]): ServiceManager {
  const each = (tell: (manager: ServiceManager) => void) => {
    all.forEach(tell);
  };
  return {
    ready: (status) => {
      each((manager) => {
        manager.ready(status);
      });
    },
    reloading: () => {
      each((manager) => {
        manager.reloading();
      });
    },
    stopping: () => {
      each((manager) => {
        manager.stopping();
      });
    },
    alive: () => {
      each((manager) => {
        manager.alive();
      });
    },
    watchdogMs: all.find(({ watchdogMs }) => watchdogMs !== null)?.watchdogMs ?? null,
    onStop: (stop) => {
      each((manager) => {
        manager.onStop(stop);
      });
    },
  };
}
