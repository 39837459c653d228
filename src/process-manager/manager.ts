/**
 * The interface to the process manager that has started the hub: notifications to it, and its stop requests beyond signals.
 */
export interface ServiceManager {
  /** Called when all workers serve. */
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
  /** Called every `watchdogMs` while the hub is alive. */
  alive(): void;
  /** interval of `alive` calls; null: the manager has no watchdog */
  readonly watchdogMs: number | null;
  /** Registers a callback for stop requests other than signals. */
  onStop(stop: () => void): void;
}

/** Combines several managers. */
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
