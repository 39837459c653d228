/** What a dashboard is here: rows of panels, each with the question that it answers. Metric names come from the catalogue. */
import { catalogue, type MetricName } from '../../src/observability/catalogue.ts';

export interface PanelSpec {
  title: string;
  /** the question that it answers, and how to read it */
  description: string;
  /** Grafana's name of the unit */
  unit: string;
  queries: readonly { expr: string; legend: string }[];
  /** one number each, as it is now, instead of lines over time */
  stat?: StatSpec;
  /** no series at all is what it shows when all is well */
  emptyWhenWell?: true;
}

export interface StatSpec {
  /** it is red from this value on, or below it; otherwise green */
  redFrom?: number;
  redBelow?: number;
  /** the legend says what there is to say, and the number nothing */
  nameOnly?: true;
}

export interface RowSpec {
  title: string;
  panels: readonly PanelSpec[];
}

export interface DashboardSpec {
  /** the file's name and Grafana's uid */
  uid: string;
  title: string;
  /** the question that all of it answers */
  description: string;
  rows: readonly RowSpec[];
}

type Histogram = {
  [N in MetricName]: (typeof catalogue)[N]['type'] extends 'histogram' ? N : never;
}[MetricName];

const chosen = 'job=~"$job", instance=~"$instance"';

/** A metric of the chosen hubs. */
export function metric(name: MetricName, ...matchers: string[]): string {
  return `${name}{${[chosen, ...matchers].join(', ')}}`;
}

/** A part of a histogram of the chosen hubs. */
export function part(name: Histogram, suffix: 'bucket' | 'sum' | 'count', ...matchers: string[]): string {
  return `${name}_${suffix}{${[chosen, ...matchers].join(', ')}}`;
}

export function rate(selector: string): string {
  return `rate(${selector}[$__rate_interval])`;
}

/** Per hub, and per these labels. */
export function sumBy(labels: readonly string[], expr: string): string {
  return `sum by (${['job', 'instance', ...labels].join(', ')}) (${expr})`;
}

/** Percentiles of a histogram, one query for each. */
export function percentiles(
  name: Histogram,
  labels: readonly string[],
  wanted: readonly number[] = [0.5, 0.99],
): { expr: string; legend: string }[] {
  const by = labels.map((label) => ` {{${label}}}`).join('');
  return wanted.map((quantile) => ({
    expr: `histogram_quantile(${quantile}, ${sumBy([...labels, 'le'], rate(part(name, 'bucket')))})`,
    legend: `{{instance}}${by} p${quantile * 100}`,
  }));
}
