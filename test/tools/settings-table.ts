/** Writes README.md's table of settings from the one in the source: `npm run readme`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { settingsRows } from '../../src/settings.ts';

const file = new URL('../../README.md', import.meta.url);
const rows = settingsRows().map(
  ({ env, name, default: value, help }) => `| \`${env}\` | \`${name}\` | ${value} | ${help} |`,
);
const table = ['| variable | in the file | default | |', '| --- | --- | --- | --- |', ...rows].join('\n');
const readme = readFileSync(file, 'utf8');
const between = /(<!-- settings -->\n)[^]*?(<!-- \/settings -->)/;
writeFileSync(
  file,
  readme.replace(between, (_, start: string, end: string) => `${start}\n${table}\n\n${end}`),
);
