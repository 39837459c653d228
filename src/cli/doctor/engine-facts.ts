/** The facts about the server of the engine for `wshub doctor`. */
import { redisOptions } from '../../primary/machine.ts';
import type { Settings } from '../../config/settings.ts';
import { messageOf } from '../../platform/errors.ts';

export interface EngineFacts {
  /** host and port */
  server: string;
  /** why it cannot be used; null: it can */
  fault: string | null;
  version: string;
  /** of one question, the fastest of several, in milliseconds */
  latencyMs: number;
  /** it tells the id that changes at each failover */
  hasReplicationId: boolean;
  /** null: it may not be asked for its configuration, like the others */
  evictionPolicy: string | null;
  /** hard limit of the output buffer of a PUB/SUB connection, in bytes; 0: none */
  outputLimitBytes: number | null;
  /** machines that use the same prefix now */
  machines: readonly string[];
}

const questions = 5;

/** Asks the server. Null: history is kept on this machine. */
export async function engineFacts(settings: Settings): Promise<EngineFacts | null> {
  const address = redisOptions(settings);
  if (!address) return null;
  const server = new URL(address.url).host;
  const unknown: EngineFacts = {
    server,
    fault: null,
    version: '',
    latencyMs: 0,
    hasReplicationId: false,
    evictionPolicy: null,
    outputLimitBytes: null,
    machines: [],
  };
  const { Connection } = await import('../../engine/redis/connection.ts');
  try {
    const nothing = () => undefined;
    const connection = await Connection.open(address, { message: nothing, closed: nothing });
    const { version } = await connection.facts();
    const replication = String(await connection.command(['INFO', 'replication']));
    const times: number[] = [];
    while (times.length < questions) {
      const askedAt = performance.now();
      await connection.command(['PING']);
      times.push(performance.now() - askedAt);
    }
    const machines = await connection.command(['ZRANGE', `${address.prefix}:machines`, '0', '-1']);
    const config = async (name: string) => {
      const found: unknown = await connection.command(['CONFIG', 'GET', name]).catch(() => null);
      const value = found === null ? null : Object.values(found as Record<string, unknown>)[0]; // a map
      return Buffer.isBuffer(value) ? value.toString() : null;
    };
    const limits = await config('client-output-buffer-limit');
    const limit = /pubsub (\d+)/.exec(limits ?? '')?.[1];
    const facts = {
      ...unknown,
      version,
      latencyMs: Math.min(...times),
      hasReplicationId: replication.includes('master_replid:'),
      evictionPolicy: await config('maxmemory-policy'),
      outputLimitBytes: limit === undefined ? null : Number(limit),
      machines: Array.isArray(machines) ? machines.map(String) : [],
    };
    connection.close('asked');
    return facts;
  } catch (error) {
    return { ...unknown, fault: messageOf(error) };
  }
}
