/**
 * The generated parts of docs/: settings by subject, options of namespaces, metrics, dashboard panels. `npm run docs` writes them between
 * the markers `<!-- generated -->` and `<!-- /generated -->` of each page; the prose around them is written by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { namespaceOptions } from '../src/config/namespaces.ts';
import { groupedSettings } from '../src/config/setting-groups.ts';
import { allowedBy } from '../src/config/setting-kinds.ts';
import { catalogue, type Metric } from '../src/metrics/catalogue.ts';
import { dashboards } from '../dashboards/src/dashboards.ts';

const generators: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': settings,
  'docs/namespaces.md': options,
  'docs/metrics.md': metrics,
  'docs/dashboards.md': panels,
};

export const generatedPages = Object.keys(generators);

/** Returns the page as it must read, its generated part made from the source. */
export async function regenerated(page: string): Promise<string> {
  const file = fileOf(page);
  const [start, end] = ['<!-- generated -->', '<!-- /generated -->'];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  const generator = generators[page];
  if (!generator || from < 0 || to < from) throw new Error(`${page} has no generated part`);
  const made = `${text.slice(0, from + start.length)}\n\n${generator()}\n\n${text.slice(to)}`;
  return format(made, { ...(await resolveConfig(file)), parser: 'markdown' });
}

function settings(): string {
  const sections = groupedSettings().map(({ title, rows }) => {
    const cells = rows.map((row) => [`\`${row.env}\``, `\`${row.name}\``, row.default, row.help]);
    return `## ${title}\n\n${table(['variable', 'in the file', 'default', 'meaning'], cells)}`;
  });
  return sections.join('\n\n');
}

function options(): string {
  const rows = Object.entries(namespaceOptions).map(([name, row]) => [
    `\`${name}\``,
    row.default,
    allowedBy(row),
    row.help,
  ]);
  return table(['option', 'default', 'allowed', 'meaning'], rows);
}

function metrics(): string {
  const rows = Object.entries<Metric>(catalogue).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    [type, ...(labels.length > 0 ? [labels.join(', ')] : [])].join(': '),
    help,
  ]);
  return table(['metric', 'type, labels', 'meaning'], rows);
}

function panels(): string {
  const sections = dashboards.map(({ title, description, rows }) => {
    const cells = rows.flatMap((row) => row.panels.map((panel) => [panel.title, panel.description]));
    return `## ${title}\n\n${description}\n\n${table(['panel', 'question'], cells)}`;
  });
  return sections.join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function fileOf(page: string): string {
  return fileURLToPath(new URL(`../${page}`, import.meta.url));
}

if (import.meta.main) {
  for (const page of generatedPages) writeFileSync(fileOf(page), await regenerated(page));
}
