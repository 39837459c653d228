/** This machine among those that share an engine. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Settings } from '../config/settings.ts';
import type { RedisBrokerOptions } from '../ipc/broker-messages.ts';

/** Returns the options of the engine; null: history is kept on this machine. Call it once: the id may be random. */
export function redisOptions(settings: Settings): RedisBrokerOptions | null {
  const { engine, redisUrl: url, redisPasswordFile, redisTlsCaFile, redisPrefix: prefix } = settings;
  if (engine === 'embedded' || url === undefined) return null;
  return {
    url,
    passwordFile: redisPasswordFile ?? null,
    tlsCaFile: redisTlsCaFile ?? null,
    prefix,
    machine: settings.machineId ?? randomId(),
    down: settings.engineDown,
  };
}

/** Two hubs on one host, and two starts of one, differ. */
function randomId(): string {
  const name = hostname()
    .replace(/[^\w.-]/g, '-')
    .slice(0, 48);
  return `${name}-${randomBytes(4).toString('hex')}`;
}
