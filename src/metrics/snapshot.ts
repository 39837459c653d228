/**
 * What one process counted, at one moment: for each metric its samples, as they travel over IPC. Sums of them stay
 * exact, because a histogram's samples are counters too. Dry: no metrics library, no clock.
 */
import { Histogram } from './histogram.ts';
import { catalogue, type MetricName } from './catalogue.ts';

export type Labels = Record<string, string | number>;

export interface Sample {
  labels: Labels;
  value: number;
  /** of a histogram's parts: the metric's name with `_bucket`, `_sum` or `_count` */
  metricName?: string;
}

export type Snapshot = Partial<Record<MetricName, Sample[]>>;

/** One sample for each member, under the label. */
export function byLabel(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

export function single(value: number, labels: Labels = {}): Sample[] {
  return [{ labels, value }];
}

/** A histogram's cumulative buckets, sum and count, as Prometheus wants them. */
export function histogramSamples(name: MetricName, histogram: Histogram, labels: Labels = {}): Sample[] {
  const samples: Sample[] = [];
  let total = 0;
  for (const [index, count] of histogram.counts.entries()) {
    total += count;
    const le = histogram.bounds[index] ?? '+Inf';
    samples.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: total });
  }
  samples.push({ metricName: `${name}_sum`, labels, value: histogram.sum });
  samples.push({ metricName: `${name}_count`, labels, value: total });
  return samples;
}

/** What a process that is gone leaves behind: all that only grows. */
export function lasting(snapshot: Snapshot): Snapshot {
  const entries = Object.entries(snapshot) as [MetricName, Sample[]][];
  return Object.fromEntries(entries.filter(([name]) => catalogue[name].type !== 'gauge'));
}

/** The sum of two snapshots, label by label. */
export function add(one: Snapshot, other: Snapshot): Snapshot {
  const sum: Snapshot = {};
  for (const name of Object.keys({ ...one, ...other }) as MetricName[]) {
    const byKey = new Map<string, Sample>();
    for (const sample of [...(one[name] ?? []), ...(other[name] ?? [])]) {
      const key = keyOf(sample);
      byKey.set(key, { ...sample, value: (byKey.get(key)?.value ?? 0) + sample.value });
    }
    sum[name] = [...byKey.values()];
  }
  return sum;
}

function keyOf({ metricName = '', labels }: Sample): string {
  return JSON.stringify([metricName, ...Object.entries(labels).sort()]);
}
