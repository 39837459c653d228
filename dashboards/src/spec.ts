/** Dashboards as rows of panels, each with the question that it answers. Metric names come from the catalogue. */
import { catalogue, type MetricName } from '../../src/metrics/catalogue.ts';

export interface PanelSpec {
  title: string;
  /** the question that it answers, and how to read it */
  description: string;
  /** Grafana's name of the unit */
  unit: string;
  queries: readonly QuerySpec[];
  /** single values as of now, instead of lines over time */
  stat?: StatSpec;
  /** a heatmap over the buckets of a histogram, instead of lines */
  heatmap?: true;
  /** the panel shows no series while the hub is healthy */
  emptyWhenWell?: true;
  /** horizontal lines: values are a warning from `orange` on and a fault from `red` on */
  limits?: { orange?: number; red?: number };
  /** the alert whose section of the runbook the panel links to */
  runbook?: string;
}

export interface QuerySpec {
  expr: string;
  legend: string;
  /** drawn dashed and in red: a bound that the other lines should not reach */
  isLimit?: true;
}

export interface StatSpec {
  /** red from this value on, or below it; otherwise green */
  redFrom?: number;
  redBelow?: number;
  /** shows the legend instead of the value */
  nameOnly?: true;
  /** shows the course of the value over the chosen time behind it */
  sparkline?: true;
}

/** Marks on the time axis of every panel. */
export interface AnnotationSpec {
  name: string;
  expr: string;
  text: string;
  color: string;
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

/** Only series of hubs that are up at the end of the chosen time: others would show their last value for ever. */
export function ofLiveHubs(expr: string): string {
  return `${expr} and on (job, instance) (${metric('wshub_build_info')} @ end())`;
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

/** `up` of the targets that were a hub within the last day: a hub that is down exports nothing itself. */
export function upOfHubs(): string {
  return `up{${chosen}} and on (job, instance) last_over_time(${metric('wshub_build_info')}[1d])`;
}

/** Alerts of the chosen hubs that fire, per hub; 0 where none does. */
export function firingAlerts(): string {
  const firing = sumBy([], `ALERTS{${chosen}, alertname=~"Wshub.+", alertstate="firing"}`);
  return `${firing} or 0 * (${upOfHubs()})`;
}

/** Percentiles of a histogram, one query for each. */
export function percentiles(
  name: Histogram,
  labels: readonly string[],
  wanted: readonly number[] = [0.5, 0.99],
): QuerySpec[] {
  const by = labels.map((label) => ` {{${label}}}`).join('');
  return wanted.map((quantile) => ({
    expr: `histogram_quantile(${quantile}, ${sumBy([...labels, 'le'], rate(part(name, 'bucket')))})`,
    legend: `{{instance}}${by} p${quantile * 100}`,
  }));
}
