// The table of what can be measured, and how each is printed.

interface Metric {
  readonly header: string;
  readonly digits: number;
}

export const metrics = {
  deliveriesPerS: { header: 'deliveries/s', digits: 0 },
  messagesPerS: { header: 'messages/s', digits: 0 },
  expected: { header: 'expected', digits: 0 },
  arrived: { header: 'arrived', digits: 0 },
  p50Ms: { header: 'p50 ms', digits: 2 },
  p99Ms: { header: 'p99 ms', digits: 2 },
  p999Ms: { header: 'p99.9 ms', digits: 2 },
  joinP50Ms: { header: 'join p50 ms', digits: 2 },
  joinP99Ms: { header: 'join p99 ms', digits: 2 },
  sameWorkerMs: { header: 'same worker, median ms', digits: 3 },
  otherWorkerMs: { header: 'other worker, median ms', digits: 3 },
  differenceMs: { header: 'difference ms', digits: 3 },
  cpuPerDeliveryUs: { header: 'CPU µs/delivery', digits: 2 },
  cpuPerMessageUs: { header: 'CPU µs/message', digits: 1 },
  cpuPerConnectionUs: { header: 'CPU µs/connection', digits: 0 },
  connections: { header: 'connections', digits: 0 },
  recovered: { header: 'recovered', digits: 0 },
  connectionsPerS: { header: 'connections/s', digits: 0 },
  memoryPerConnectionKb: { header: 'user memory (Pss) KB/connection', digits: 1 },
  serverCores: { header: 'server cores', digits: 2 },
  generatorCores: { header: 'generator cores', digits: 2 },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metrics;
export type Metrics = Partial<Record<MetricName, number>>;

/** What one measurement found; the notes are sentences about what went wrong or limits the figures. */
export interface Outcome {
  readonly metrics: Metrics;
  readonly notes: readonly string[];
}

export function formatMetric(name: MetricName, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  const { digits } = metrics[name];
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString('en', options).replaceAll(',', ' ');
}

export function formatRatio(value: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(2);
}

/** Metric by metric the median of several outcomes, and every note once. */
export function medianOf(outcomes: readonly Outcome[]): Outcome {
  const result: Metrics = {};
  for (const name of Object.keys(metrics) as MetricName[]) {
    const values = outcomes.map((outcome) => outcome.metrics[name]).filter((value) => value !== undefined);
    if (values.length > 0) result[name] = median(values);
  }
  return { metrics: result, notes: [...new Set(outcomes.flatMap(({ notes }) => notes))] };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
