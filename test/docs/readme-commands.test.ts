/** Every command of README's "Run it in production" is in a block that a test runs from README's own text. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { commandBlocks } from '../system/readme-commands.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const [, chapter = ''] = /\n## Run it in production\n([^]*?)\n## /.exec(readme) ?? [];

describe("README's commands for production", () => {
  it('stand in blocks with a name', () => {
    const blocks = [...chapter.matchAll(/```sh\n/g)].length;
    assert.ok(blocks >= 8);
    assert.equal(commandBlocks().size, blocks);
  });

  it('are each run by a test, which fails if it leaves one of a block out', () => {
    const tests = readdirSync(join(root, 'test/system'))
      .map((file) => readFileSync(join(root, 'test/system', file), 'utf8'))
      .join('\n');
    for (const name of commandBlocks().keys()) {
      const [, variable] = new RegExp(`const (\\w+) = new Commands\\('${name}'\\)`).exec(tests) ?? [];
      assert.ok(variable, `a test runs the commands of ${name}`);
      assert.ok(tests.includes(`assert.deepEqual(${variable}.left, [])`), `${name} to its end`);
    }
  });
});
