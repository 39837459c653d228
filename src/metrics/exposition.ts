/** From snapshots to the text that Prometheus reads. The only file that knows prom-client. */
import { AggregatorRegistry, Registry } from 'prom-client';
import { catalogue, type Metric, type MetricName } from './catalogue.ts';
import type { Sample, Snapshot } from './snapshot.ts';

export const textType = Registry.PROMETHEUS_CONTENT_TYPE;
export const openMetricsType = Registry.OPENMETRICS_CONTENT_TYPE;
export type ExpositionType = typeof textType | typeof openMetricsType;

/** A metric as prom-client's `getMetricsAsJSON` would give it. Its types name members that no JSON has. */
interface MetricForm {
  name: string;
  help: string;
  type: Metric['type'];
  aggregator: 'sum' | 'max';
  values: Sample[];
}

/** All snapshots together, each metric once. */
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
    // OpenMetrics has the suffix on the sample, not on the metric; prom-client adds it there.
    const shown = openMetrics && type === 'counter' ? name.replace(/_total$/, '') : name;
    return [{ name: shown, help, type, aggregator: merge ?? 'sum', values }];
  });
}
