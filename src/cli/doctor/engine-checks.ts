/** The checks of the engine's server. */
import type { EngineFacts } from './engine-facts.ts';
import { bad, ok, skip, warn, type Finding } from './finding.ts';

/** A publication of the largest size must fit several times. */
const wantedOutputBytes = 32 * 1024 * 1024;
const wantedLatencyMs = 5;
const oldestVersion = 7;

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
