/** The pages of the documentation, for the tests that compare them with the source. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

/** All pages, by their paths in the repository. */
export const pages = globSync(['*.md', 'docs/**/*.md', 'deploy/**/*.md'], { cwd: root }).sort();

export function read(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** The rows of the table behind a marker, without head, cells without padding and backticks. */
export function table(page: string, marker: string): string[][] {
  const [, behind] = read(page).split(`<!-- ${marker} -->\n\n`);
  assert.ok(behind, `${page} has the marker ${marker}`);
  return rowsOf(behind);
}

/** The rows of the first table in a text. */
export function rowsOf(text: string): string[][] {
  const [lines = ''] = /^\|.*(?:\n\|.*)*/m.exec(text) ?? [];
  return lines
    .split('\n')
    .slice(2)
    .map((line) => {
      const cells = line.split('|').slice(1, -1);
      return cells.map((cell) => cell.trim().replaceAll('`', ''));
    });
}

/** The code of the block behind a marker. */
export function code(page: string, marker: string): string {
  const block = new RegExp(`<!-- ${marker} -->\\n\\n\`\`\`\\w+\\n([^]*?)\\n\`\`\``).exec(read(page))?.[1];
  assert.ok(block, `${page} has the marker ${marker}`);
  return block;
}
