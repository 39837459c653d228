/** The server of the engine as `wshub doctor` sees it: what it is asked, and what must hold there. */
import { redisOptions } from '../../primary/machine.ts';
import type { Settings } from '../../config/settings.ts';
import { messageOf } from '../../platform/errors.ts';
import { bad, ok, skip, warn, type Finding } from './finding.ts';

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

/** A publication of the largest size must fit several times. */
const wantedOutputBytes = 32 * 1024 * 1024;
const wantedLatencyMs = 5;
const oldestVersion = 7;
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

export function engineFindings(engine: EngineFacts | null): Finding[] {
  if (!engine) return [];
  const { server, fault, version, latencyMs, evictionPolicy, outputLimitBytes, machines } = engine;
  if (fault !== null) {
    const fix = 'redis-cli -u "$WSHUB_REDIS_URL" ping   # then correct WSHUB_REDIS_URL, or the server';
    return [bad(`engine at ${server}: ${fault}`, fix)];
  }
  return [
    Number.parseInt(version, 10) >= oldestVersion
      ? ok(`engine at ${server}, version ${version}`)
      : bad(`engine at ${server}: version ${version} is too old`, 'install Redis 7.0 or newer, or Valkey'),
    latencyMs <= wantedLatencyMs
      ? ok(`engine answers within ${latencyMs.toFixed(1)} ms`)
      : warn(
          `engine answers within ${latencyMs.toFixed(1)} ms only: every message of a channel with history waits for it`,
          'run the server in the network of the machines',
        ),
    evictionFinding(evictionPolicy),
    outputFinding(outputLimitBytes),
    engine.hasReplicationId
      ? ok('engine tells a failover')
      : warn(
          'engine tells no master_replid: clients may resume wrongly after a failover',
          'use Redis or Valkey',
        ),
    ok(`machines that share the engine now: ${machines.length === 0 ? 'none' : machines.join(', ')}`),
  ];
}

function evictionFinding(policy: string | null): Finding {
  if (policy === null) return skip('engine: its eviction policy may not be asked for; it must be noeviction');
  if (policy === 'noeviction') return ok('engine keeps what it stores (noeviction)');
  return bad(
    `engine may drop histories and positions: its maxmemory-policy is ${policy}`,
    'redis-cli -u "$WSHUB_REDIS_URL" config set maxmemory-policy noeviction   # and in its configuration file',
  );
}

function outputFinding(bytes: number | null): Finding {
  if (bytes === null) return skip('engine: its output buffer limit may not be asked for');
  if (bytes === 0 || bytes >= wantedOutputBytes) return ok('engine has room for a machine that reads slowly');
  return warn(
    `engine cuts a machine off that is ${bytes} bytes behind`,
    'redis-cli -u "$WSHUB_REDIS_URL" config set client-output-buffer-limit "pubsub 67108864 33554432 60"',
  );
}
