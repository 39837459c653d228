/** docs/cli.md names the commands, all of them and no other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { commands } from '../../src/cli/program.ts';

it('the page about the command line has a row for each command', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `wshub ([\w-]+)/gm)].map(([, name]) => name);
  assert.deepEqual(rows.toSorted(), commands.map(({ name }) => name).toSorted());
});
