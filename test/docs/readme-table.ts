/** The tables of README.md, for the tests that compare them with the source. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The rows of the table behind a marker, without head, cells without padding and backticks. */
export function table(marker: string): string[][] {
  const [, behind] = readme.split(`<!-- ${marker} -->\n\n`);
  assert.ok(behind, `README.md has the marker ${marker}`);
  const lines = behind
    .slice(0, behind.search(/\n[^|]/))
    .trim()
    .split('\n');
  return lines.slice(2).map((line) => {
    const cells = line.split('|').slice(1, -1);
    return cells.map((cell) => cell.trim().replaceAll('`', ''));
  });
}
