/** Checks the metrics and labels of a PromQL query against the catalogue. */
import { parser } from '@prometheus-io/lezer-promql';
import { readFileSync } from 'node:fs';
import { catalogue, type Metric } from '../../src/metrics/catalogue.ts';

/** Labels that Prometheus adds. */
const scrapeLabels = ['job', 'instance'];

interface Selector {
  metric: string;
  /** names of the labels that it matches */
  labels: string[];
}

interface Query {
  /** the text at which the parser stumbled */
  faults: string[];
  selectors: Selector[];
  /** labels in by, without, on, ignoring and group_left */
  grouping: string[];
}

/** Grafana's variables are put in before: they are no PromQL. */
export function fillVariables(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$__range', '1h')
    .replaceAll('$__interval', '1m')
    .replaceAll(/\$\{?(job|instance)\}?/g, '.*');
}

export function parseQuery(expr: string): Query {
  const text = (from: number, to: number) => expr.slice(from, to);
  const query: Query = { faults: [], selectors: [], grouping: [] };
  parser.parse(expr).iterate({
    enter: ({ type, name, from, to, node }) => {
      if (type.isError) query.faults.push(`${from}: ${text(from, to + 10)}`);
      if (name === 'VectorSelector') query.selectors.push({ metric: '', labels: [] });
      const selector = query.selectors.at(-1);
      if (name === 'Identifier' && node.parent?.name === 'VectorSelector' && selector) {
        selector.metric = text(from, to);
      }
      if (name === 'LabelName') {
        if (node.parent?.name === 'GroupingLabels') query.grouping.push(text(from, to));
        else selector?.labels.push(text(from, to));
      }
    },
  });
  return query;
}

/** Returns the faults of a query, in sentences; `recorded`: names and labels of the recording rules. */
export function faultsOf(
  expr: string,
  recorded: ReadonlyMap<string, readonly string[]> = new Map(),
): string[] {
  const { faults, selectors, grouping } = parseQuery(fillVariables(expr));
  const sentences = faults.map((fault) => `does not parse at ${fault}`);
  if (selectors.length === 0) sentences.push('selects nothing');
  const known = new Set(scrapeLabels);
  for (const { metric, labels } of selectors) {
    const own = labelsOf(metric, recorded);
    if (!own) {
      sentences.push(`${metric || '(no name)'} is not in the catalogue`);
      continue;
    }
    for (const label of own) known.add(label);
    for (const label of labels) {
      if (![...own, ...scrapeLabels].includes(label)) sentences.push(`${metric} has no label ${label}`);
    }
  }
  for (const label of grouping)
    if (!known.has(label)) sentences.push(`groups by ${label}, which nothing has`);
  return sentences;
}

function labelsOf(
  name: string,
  recorded: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  if (name === 'up') return [];
  if (name === 'ALERTS') return ['alertname', 'alertstate'];
  const rule = recorded.get(name);
  if (rule) return rule;
  const metrics: Record<string, Metric> = catalogue;
  const whole = metrics[name];
  if (whole) return whole.type === 'histogram' ? undefined : whole.labels; // a histogram has only its parts
  const base = metrics[name.replace(/_(bucket|sum|count)$/, '')];
  if (base?.type !== 'histogram') return undefined;
  return name.endsWith('_bucket') ? [...base.labels, 'le'] : base.labels;
}

export interface Rule {
  /** the name that is recorded, or the alert's */
  name: string;
  expr: string;
  /** the whole text of the rule */
  text: string;
}

/** The rules of a file of ours: each starts with `- record:` or `- alert:` and has its query as a block. */
export function readRules(file: URL): Rule[] {
  const [, ...parts] = readFileSync(file, 'utf8').split(/^ {6}- (?:record|alert): /m);
  return parts.map((text) => ({
    name: text.split('\n')[0] ?? '',
    expr: (/expr: \|-\n((?: {10}.*\n)+)/.exec(text)?.[1] ?? '').replaceAll(/^ {10}/gm, '').trim(),
    text,
  }));
}

/** The names of recording rules with the labels that they keep. */
export function recordedBy(rules: readonly Rule[]): Map<string, string[]> {
  return new Map(rules.map(({ name, expr }) => [name, parseQuery(expr).grouping]));
}
