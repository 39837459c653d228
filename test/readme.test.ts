/** README.md against the source: its tables name what the source names, and nothing else. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { settingsRows } from '../src/settings.ts';
import { errors } from '../src/errors.ts';
import { closeCodes } from '../src/protocol/close-codes.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The rows of the table behind a marker, without head, cells without padding and backticks. */
function table(marker: string): string[][] {
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

describe('README.md', () => {
  it('lists the close codes that the hub uses', () => {
    const rows = table('close-codes').map(([code, reason]) => [reason, Number(code)]);
    assert.deepEqual(Object.fromEntries(rows), closeCodes);
  });

  it('lists the error codes with their HTTP status', () => {
    const rows = table('error-codes').map(([code, status]) => [code, Number(status)]);
    const wanted = Object.entries(errors).map(([code, { status }]) => [code, status]);
    assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(wanted));
  });

  it('lists the settings as the source has them', () => {
    const wanted = settingsRows().map(({ env, name, default: value, help }) =>
      [env, name, value, help].map((cell) => cell.replaceAll('`', '')),
    );
    assert.deepEqual(table('settings'), wanted, 'run: npm run readme');
  });

  it('names every folder and every file at the top of the source', () => {
    const [, places = ''] = readme.split('### The source in ten minutes');
    for (const entry of readdirSync(new URL('../src', import.meta.url), { withFileTypes: true })) {
      const name = entry.isDirectory() ? `\`${entry.name}/\`` : `\`${entry.name}\``;
      assert.ok(places.includes(name), name);
    }
  });
});
