// Prints the results of one workload as a table of aligned columns, the notes under it.
import { formatMetric, formatRatio, metrics, type MetricName, type Outcome } from './metrics.ts';
import type { Workload } from './workloads.ts';

export interface Row {
  readonly label: string;
  readonly outcome: Outcome;
}

export function printTable(workload: Workload, rows: readonly Row[], baseline: string): string {
  const base = rows.find(({ label }) => label === baseline) ?? rows[0];
  const header = [
    'server',
    ...workload.columns.map((name) => metrics[name].header),
    ...workload.ratios.map((name) => `${metrics[name].header}: × ${base?.label ?? baseline}`),
  ];
  const body = rows.map(({ label, outcome }) => [
    label,
    ...workload.columns.map((name) => formatMetric(name, outcome.metrics[name])),
    ...workload.ratios.map((name) => ratio(name, outcome, base?.outcome)),
  ]);
  const notes = rows.flatMap(({ label, outcome }) => outcome.notes.map((note) => `  ! ${label}: ${note}`));
  return [`## ${workload.name}: ${workload.about}`, '', ...aligned([header, ...body]), ...notes, ''].join(
    '\n',
  );
}

function ratio(name: MetricName, outcome: Outcome, base: Outcome | undefined): string {
  return formatRatio((outcome.metrics[name] ?? NaN) / (base?.metrics[name] ?? NaN));
}

export function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  const rendered = lines.map((line) =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join(' | '),
  );
  const rule = widths
    .map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
    .join(' | ');
  return [rendered[0] ?? '', rule, ...rendered.slice(1)].map((line) => `| ${line} |`);
}
