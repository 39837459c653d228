/**
 * The metrics of one process at one moment: the samples of each metric, as sent over IPC. Sums are exact, because the samples
 * of a histogram are counters too. Uses no metrics library and no clock.
 */
import { Histogram } from './histogram.ts';
import { catalogue, type MetricName } from './catalogue.ts';

export type Labels = Record<string, string | number>;

export interface Sample {
  labels: Labels;
  value: number;
  /** for parts of a histogram: the metric's name with `_bucket`, `_sum` or `_count` */
  metricName?: string;
}

export type Snapshot = Partial<Record<MetricName, Sample[]>>;

/** Returns one sample per member, with its key as the label's value. */
export function byLabel(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

export function single(value: number, labels: Labels = {}): Sample[] {
  return [{ labels, value }];
}

/** Returns a histogram's cumulative buckets, sum and count, in the form of Prometheus. */
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

/** Returns the part that outlives its process: everything but gauges. */
export function lasting(snapshot: Snapshot): Snapshot {
  const entries = Object.entries(snapshot) as [MetricName, Sample[]][];
  return Object.fromEntries(entries.filter(([name]) => catalogue[name].type !== 'gauge'));
}

/** Adds two snapshots, label by label. */
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
