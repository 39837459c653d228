/** Notifies the manager's watchdog while the hub is alive; a blocked primary sends no notification. */
import type { ServiceManager } from './manager.ts';

/** @param alive whether at least one worker is responsive */
export function feedWatchdog(manager: ServiceManager, alive: () => boolean): void {
  if (manager.watchdogMs === null) return;
  manager.alive();
  setInterval(() => {
    if (alive()) manager.alive();
  }, manager.watchdogMs).unref();
}
