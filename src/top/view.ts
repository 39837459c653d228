/** What `wshub top` shows: from two states of the hub to the lines of a screen. Dry. */
import type { Actions } from '../control/actions.ts';

type State = Actions['state']['answer'];

/** Counters of the metrics, by name, summed over labels; empty where the hub has none. */
export type Totals = ReadonlyMap<string, number>;

export interface Sample {
  state: State;
  totals: Totals;
  /** milliseconds of a monotonic clock */
  at: number;
}

const rates: readonly [label: string, metric: string][] = [
  ['received/s', 'wshub_messages_received_total'],
  ['delivered/s', 'wshub_messages_delivered_total'],
  ['dropped/s', 'wshub_messages_dropped_total'],
];

export function view(now: Sample, before: Sample | null): string[] {
  const { state } = now;
  const { workers, connections, channels } = state.totals;
  const head = `wshub ${state.version}, up ${span(state.uptimeSeconds)}, Node ${state.node.slice(1)}`;
  const shown = rates.flatMap(([label, metric]) => {
    const rate = rateOf(metric, now, before);
    return rate === null ? [] : [`${label} ${rate}`];
  });
  const rows = state.workers.map((worker) => [
    String(worker.slot),
    worker.workerId,
    String(worker.pid),
    worker.state,
    String(worker.connections),
    String(worker.channels),
    String(worker.linkQueueBytes),
    worker.linked ? 'yes' : 'no',
    lagOf(worker.slot, now.totals),
    span(worker.uptimeSeconds),
  ]);
  const columns = [
    'slot',
    'worker',
    'pid',
    'state',
    'conns',
    'channels',
    'queue B',
    'linked',
    'lag ms',
    'up',
  ];
  return [
    head,
    [`workers ${workers}`, `connections ${connections}`, `channels ${channels}`, ...shown].join('   '),
    '',
    ...table([columns, ...rows]),
    '',
    ...table([
      ['channel', 'conns'],
      ...state.channels.map(({ channel, connections: count }) => [JSON.stringify(channel), String(count)]),
    ]),
  ];
}

function rateOf(metric: string, now: Sample, before: Sample | null): number | null {
  const [later, earlier] = [now.totals.get(metric), before?.totals.get(metric)];
  if (later === undefined || earlier === undefined || !before) return null;
  return Math.round(((later - earlier) * 1_000) / Math.max(1, now.at - before.at));
}

/** The event loop's lag of a worker, where the metrics have it. */
function lagOf(slot: number, totals: Totals): string {
  const seconds = totals.get(`wshub_eventloop_lag_p99_seconds{worker="${slot}"}`);
  return seconds === undefined ? '-' : (seconds * 1_000).toFixed(1);
}

function span(seconds: number): string {
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(
    Math.floor,
  );
  if (days) return `${days}d${hours}h`;
  if (hours) return `${hours}h${minutes}m`;
  return minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Reads the text format of Prometheus: the sum of each name, and each series of its own. */
export function totalsOf(metrics: string): Totals {
  const totals = new Map<string, number>();
  for (const line of metrics.split('\n')) {
    const [, name, labels, value] = /^(\w+)(\{[^}]*\})? (\S+)/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    totals.set(name, (totals.get(name) ?? 0) + Number(value));
    if (labels !== undefined) totals.set(name + labels, Number(value));
  }
  return totals;
}
