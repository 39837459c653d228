/** Every command of the pages on production is in a named block, and a test runs it from the text of the page. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { commandBlocks } from '../system/commands.ts';
import { pages, read, root } from './pages.ts';

const production = pages.filter((page) => page.startsWith('docs/deploy/'));

describe("the documentation's commands for production", () => {
  it('stand in blocks with a name', () => {
    assert.ok(production.length >= 5);
    for (const page of production) {
      assert.equal(commandBlocks(page).size, [...read(page).matchAll(/^ *```sh$/gm)].length, page);
    }
  });

  it('are each run by a test, which fails if it leaves one of a block out', () => {
    const tests = ['test/system', 'test/docs'].flatMap((folder) =>
      readdirSync(join(root, folder)).map((file) => read(`${folder}/${file}`)),
    );
    for (const page of production) {
      for (const name of commandBlocks(page).keys()) {
        const use = new RegExp(`const (\\w+) = new Commands\\('${page}', '${name}'\\)`);
        const isRun = tests.some((text) => {
          const [, variable] = use.exec(text) ?? [];
          return variable !== undefined && text.includes(`assert.deepEqual(${variable}.left, [])`);
        });
        assert.ok(isRun, `a test runs the commands ${name} of ${page} to their end`);
      }
    }
  });
});
