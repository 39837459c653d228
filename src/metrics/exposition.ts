/** Formats snapshots as Prometheus text. The only file that uses prom-client. */
import { AggregatorRegistry, Registry } from 'prom-client';
import { catalogue, type Metric, type MetricName } from './catalogue.ts';
import type { Sample, Snapshot } from './snapshot.ts';

export const textType = Registry.PROMETHEUS_CONTENT_TYPE;
export const openMetricsType = Registry.OPENMETRICS_CONTENT_TYPE;
export type ExpositionType = typeof textType | typeof openMetricsType;

/** A metric in the form of prom-client's `getMetricsAsJSON`, whose types have members that the JSON lacks. */
interface MetricForm {
  name: string;
  help: string;
  type: Metric['type'];
  aggregator: 'sum' | 'max';
  values: Sample[];
}

/** Merges all snapshots, and formats each metric once. */
export function expose(snapshots: readonly Snapshot[], type: ExpositionType): Promise<string> {
  const openMetrics = type === openMetricsType;
  const forms: object[][] = snapshots.map((snapshot) => metricForms(snapshot, openMetrics));
  const registry: Registry<ExpositionType> = AggregatorRegistry.aggregate(forms);
  registry.setContentType(type);
  return registry.metrics();
}

function metricForms(snapshot: Snapshot, openMetrics: boolean): MetricForm[] {
  return (Object.keys(catalogue) as MetricName[]).flatMap((name) => {
    const { type, help, merge }: Metric = catalogue[name];
    const values = snapshot[name];
    if (!values) return [];
    // In OpenMetrics the sample has the suffix, not the metric; prom-client adds it.
    const shown = openMetrics && type === 'counter' ? name.replace(/_total$/, '') : name;
    return [{ name: shown, help, type, aggregator: merge ?? 'sum', values }];
  });
}
