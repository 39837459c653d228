/** Formats two samples of the hub as the lines of `wshub top`. Free of I/O. */
import type { Actions } from '../../admin/actions.ts';
import { printable } from '../../platform/printable.ts';

type State = Actions['state']['answer'];

/** Counters by metric name, summed over labels. */
export type Totals = ReadonlyMap<string, number>;

export interface Sample {
  state: State;
  totals: Totals;
  /** milliseconds of a monotonic clock */
  at: number;
}

const rates: readonly [label: string, metric: string][] = [
  ['opened', 'wshub_connections_opened_total'],
  ['closed', 'wshub_connections_closed_total'],
  ['received', 'wshub_messages_received_total'],
  ['delivered', 'wshub_messages_delivered_total'],
  ['dropped', 'wshub_messages_dropped_total'],
];

/** with `machine` in front where the hub has several */
const workerColumns = [
  'slot',
  'worker',
  'pid',
  'state',
  'linked',
  'connections',
  'channels',
  'loop %',
  'lag ms',
  'MiB',
  'queue B',
  'up',
];

/** @param before the previous sample, for rates; null: no rates */
export function view(now: Sample, before: Sample | null): string[] {
  const { state } = now;
  const { workers, connections, channels } = state.totals;
  const shown = rates.flatMap(([label, metric]) => {
    const rate = rateOf(metric, now, before);
    return rate === null ? [] : [`${label} ${rate}`];
  });
  const partial = state.partial === true ? '   of this machine: the engine is not reached' : '';
  const hasMachines = state.workers.some(({ machine }) => machine !== undefined);
  const rows = state.workers.map((worker) => [
    ...(hasMachines ? [worker.machine ?? ''] : []),
    String(worker.slot),
    worker.workerId,
    String(worker.pid),
    worker.state,
    worker.linked ? 'yes' : 'no',
    String(worker.connections),
    String(worker.channels),
    (worker.eventLoopUtilization * 100).toFixed(0),
    worker.eventLoopLagMs.toFixed(1),
    (worker.residentBytes / 2 ** 20).toFixed(0),
    String(worker.linkQueueBytes),
    span(worker.uptimeSeconds),
  ]);
  const lines = [
    `wshub ${state.version}, up ${span(state.uptimeSeconds)}, Node ${state.node.slice(1)}`,
    `workers ${workers}   connections ${connections}   channels ${channels}${partial}`,
    `per second   ${shown.length === 0 ? '-' : shown.join('   ')}`,
    '',
    ...table([[...(hasMachines ? ['machine'] : []), ...workerColumns], ...rows]),
    '',
    ...table([
      ['connections', state.truncated ? 'channel (the first by name)' : 'channel'],
      ...state.channels.map(({ channel, connections: count }) => [String(count), JSON.stringify(channel)]),
    ]),
  ];
  return lines.map(printable);
}

/** Returns events per second; null: no previous sample, or the hub was restarted. */
function rateOf(metric: string, now: Sample, before: Sample | null): number | null {
  const [later, earlier] = [now.totals.get(metric), before?.totals.get(metric)];
  if (later === undefined || earlier === undefined || !before || later < earlier) return null;
  return Math.round(((later - earlier) * 1_000) / Math.max(1, now.at - before.at));
}

function span(seconds: number): string {
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(
    Math.floor,
  );
  if (days) return `${days}d${hours}h`;
  if (hours) return `${hours}h${minutes}m`;
  return minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

/** Pads columns to their widest cell; numbers are right-aligned. */
function table(rows: readonly (readonly string[])[]): string[] {
  const columns = (rows[0] ?? []).map((_, column) => {
    const [, ...cells] = rows.map((row) => row[column] ?? '');
    const width = Math.max(...rows.map((row) => row[column]?.length ?? 0));
    return { width, numeric: cells.length > 0 && cells.every((cell) => /^[\d.]+$/.test(cell)) };
  });
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const { width, numeric } = columns[column] ?? { width: 0, numeric: false };
        return numeric ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Parses the text format of Prometheus: sums the series of each name. */
export function totalsOf(metrics: string): Totals {
  const totals = new Map<string, number>();
  for (const line of metrics.split('\n')) {
    const [, name, value] = /^(\w+)(?:\{[^}]*\})? (\S+)/.exec(line) ?? [];
    if (name !== undefined) totals.set(name, (totals.get(name) ?? 0) + Number(value));
  }
  return totals;
}
