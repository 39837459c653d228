/** The primary's own metrics: build, workers, reloads, and the last collection. */
import { noHistory } from './broker-metrics.ts';
import type { HttpCounters } from './http-counters.ts';
import type { MetricFrom } from './catalogue.ts';
import { httpSamples } from './http-metrics.ts';
import type { ProcessStats } from './process-stats.ts';
import { byLabel, single, type Sample, type Snapshot } from './snapshot.ts';

/** The part of the supervisor that the metrics read; implemented by supervisor.ts. */
export interface Supervision {
  readonly expected: number;
  readonly workers: readonly { slot: number; state: string; startedAt: number; connections: number }[];
  readonly broker: { readonly isNeeded: boolean; readonly ready: boolean; readonly isShared: boolean };
  readonly lifecycle: {
    readonly restarts: Readonly<Record<string, number>>;
    readonly brokerRestarts: Readonly<Record<string, number>>;
    readonly drainForced: number;
    readonly errors: Readonly<Record<string, number>>;
    readonly lastReloadSuccessful: number;
    readonly lastReloadSuccessSeconds: number;
  };
}

/** The result of a collection. */
export interface CollectionFacts {
  /** slots whose worker answered */
  answered: ReadonlySet<number>;
  seconds: number;
}

export interface BuildFacts {
  version: string;
  revision: string;
}

export function primarySnapshot(
  build: BuildFacts,
  supervision: Supervision,
  http: HttpCounters,
  probe: ProcessStats,
  collection: CollectionFacts,
): Snapshot {
  const { workers, lifecycle, expected, broker } = supervision;
  const states = { starting: 0, ready: 0, draining: 0 };
  for (const { state } of workers) states[stateOf(state)] += 1;
  const own: Record<MetricFrom<'primary'>, Sample[]> = {
    wshub_build_info: single(1, { ...build, node_version: process.version }),
    wshub_workers: byLabel('state', states),
    wshub_workers_expected: single(expected),
    wshub_worker_up: Array.from({ length: expected }, (_, slot) => ({
      labels: { worker: String(slot) },
      value: collection.answered.has(slot) ? 1 : 0,
    })),
    wshub_worker_start_time_seconds: startTimes(workers),
    wshub_worker_restarts_total: byLabel('reason', lifecycle.restarts),
    wshub_config_last_reload_successful: single(lifecycle.lastReloadSuccessful),
    wshub_config_last_reload_success_timestamp_seconds: single(lifecycle.lastReloadSuccessSeconds),
    wshub_metrics_collect_seconds: single(collection.seconds),
    wshub_draining: single(states.draining > 0 ? 1 : 0),
    wshub_drain_remaining_connections: Array.from({ length: expected }, (_, slot) => ({
      labels: { worker: String(slot) },
      value: drainingConnections(workers, slot),
    })),
    wshub_drain_forced_total: single(lifecycle.drainForced),
    wshub_primary_errors_total: byLabel('reason', lifecycle.errors),
    wshub_broker_expected: single(broker.isNeeded ? 1 : 0),
    wshub_engine_expected: single(broker.isShared ? 1 : 0),
    wshub_broker_up: single(broker.isNeeded && broker.ready ? 1 : 0),
    wshub_broker_restarts_total: byLabel('reason', lifecycle.brokerRestarts),
  };
  return { ...own, ...noHistory, ...httpSamples(http), ...probe.samples('primary') };
}

function stateOf(state: string): 'starting' | 'ready' | 'draining' {
  return state === 'starting' || state === 'ready' ? state : 'draining';
}

function drainingConnections(workers: Supervision['workers'], slot: number): number {
  const draining = workers.filter((worker) => worker.slot === slot && stateOf(worker.state) === 'draining');
  return draining.reduce((sum, { connections }) => sum + connections, 0);
}

/** Returns the start time of the most recent worker of each slot. */
function startTimes(workers: Supervision['workers']): Sample[] {
  const bySlot = new Map<number, number>();
  for (const { slot, startedAt } of workers) {
    bySlot.set(slot, Math.max(bySlot.get(slot) ?? 0, (performance.timeOrigin + startedAt) / 1000));
  }
  return Array.from(bySlot, ([slot, value]) => ({ labels: { worker: String(slot) }, value }));
}
