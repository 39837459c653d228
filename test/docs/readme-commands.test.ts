/** Every command of the pages on production stands in a block that a test runs from the page's own text. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { commandBlocks } from '../system/commands.ts';
import { pages, read, root } from './pages.ts';

/** Their commands need a container engine or a cluster. */
const untested = ['docs/deploy/docker.md', 'docs/deploy/kubernetes.md'];
const production = pages.filter((page) => page.startsWith('docs/deploy/') && !untested.includes(page));

describe("the documentation's commands for production", () => {
  it('stand in blocks with a name', () => {
    assert.ok(production.length >= 5);
    for (const page of production) {
      assert.equal(commandBlocks(page).size, [...read(page).matchAll(/^ *```sh$/gm)].length, page);
    }
  });

  it('are each run by a test, which fails if it leaves one of a block out', () => {
    const tests = readdirSync(join(root, 'test/system')).map((file) => read(`test/system/${file}`));
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
