/** Detects the process managers that have started the hub. */
import type { Log } from '../platform/log.ts';
import { managers, type ServiceManager } from './manager.ts';
import { pm2 } from './pm2.ts';
import { systemd, systemdFacts } from './systemd.ts';

export function detectManager(self: NodeJS.Process, log: Log): ServiceManager {
  const facts = systemdFacts(self.env, self.pid);
  const all = [facts === null ? null : systemd(facts, log), pm2(self)];
  return managers(all.filter((manager) => manager !== null));
}
