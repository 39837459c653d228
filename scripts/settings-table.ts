/** Writes README.md's tables of settings and panels from their sources: `npm run readme`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { settingsRows } from '../src/config/settings.ts';
import { dashboards } from '../dashboards/src/dashboards.ts';

const file = new URL('../README.md', import.meta.url);
let readme = readFileSync(file, 'utf8');

function write(pattern: RegExp, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
  readme = readme.replace(pattern, (_, start: string, end: string) => `${start}\n${table}\n\n${end}`);
}

write(
  /(<!-- settings -->\n)[^]*?(<!-- \/settings -->)/,
  ['variable', 'in the file', 'default', ''],
  settingsRows().map(({ env, name, default: value, help }) => [`\`${env}\``, `\`${name}\``, value, help]),
);
for (const { uid, title, description, rows } of dashboards) {
  readme = readme.replace(new RegExp(`\\*\\*${title}\\*\\*: .*`), `**${title}**: ${description}`);
  write(
    new RegExp(`(<!-- panels: ${uid} -->\\n)[^]*?(\\n(?!\\|)\\S)`),
    ['panel', 'answers'],
    rows.flatMap(({ panels }) => panels.map((panel) => [panel.title, panel.description])),
  );
}
writeFileSync(file, readme);
