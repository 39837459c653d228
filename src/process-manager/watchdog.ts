/** Tells the manager that the hub is alive, as long as it is: a primary that stands still tells nothing. */
import type { ServiceManager } from './manager.ts';

/** @param alive at least one worker answers, or none has had the time to */
export function feedWatchdog(manager: ServiceManager, alive: () => boolean): void {
  if (manager.watchdogMs === null) return;
  manager.alive();
  setInterval(() => {
    if (alive()) manager.alive();
  }, manager.watchdogMs).unref();
}
