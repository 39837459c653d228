/** Handlers modules that the hub refuses at the start, each with a sentence that names the fault. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runCli, temporaryFolder } from '../support.ts';

const cases: [what: string, file: string, text: string, line: RegExp][] = [
  ['is not there', 'absent/handlers.ts', '', /cannot be loaded: Cannot find module/],
  [
    'cannot be parsed',
    'syntax.ts',
    'export default {\n  types: {{,\n};',
    /cannot be loaded: Unexpected token.*syntax\.ts:2\)/,
  ],
  [
    'is JavaScript that cannot be parsed',
    'syntax.js',
    'export default {\n  types: {{,\n};',
    /cannot be loaded: Unexpected token .* \(node --check \S+syntax\.js shows the position\)/,
  ],
  [
    'is TypeScript that is more than types',
    'enum.ts',
    'enum A { B } export default {};',
    /cannot be loaded.*enum/,
  ],
  ['throws at import', 'throws.ts', 'throw new Error("not today");', /cannot be loaded: not today/],
  ['exports nothing', 'nothing.ts', 'export const types = {};', /default export must be defineHandlers/],
  [
    'exports a function',
    'function.js',
    'export default () => ({});',
    /default export must be defineHandlers/,
  ],
  [
    'has a group that is unknown',
    'group.js',
    'export default { type: {} };',
    /"type" is none of types, methods, commands/,
  ],
  ['has a group of another form', 'form.js', 'export default { types: [] };', /types must be an object/],
  [
    'has a type that is no function',
    'value.js',
    'export default { types: { a: 1 } };',
    /types\["a"\] must be/,
  ],
  [
    'has a command that is no function',
    'cmd.js',
    'export default { commands: { a: {} } };',
    /commands\["a"\]/,
  ],
  [
    'has a hook that is no function',
    'hook.js',
    'export default { onConnect: {} };',
    /onConnect must be a function/,
  ],
  ...['command', 'add', 'close', 'kill channel'].map((type): [string, string, string, RegExp] => [
    `registers the reserved type "${type}"`,
    `reserved ${type}.js`,
    `export default { types: { ${JSON.stringify(type)}: () => 1 } };`,
    new RegExp(`the type "${type}" is reserved`),
  ]),
];

describe('a handlers module is refused when it', () => {
  for (const [what, file, text, line] of cases) {
    it(what, async (t) => {
      const folder = temporaryFolder(t);
      const path = join(folder, file);
      if (text !== '') writeFileSync(path, text);
      const { code, stderr } = await runCli([], {
        WSHUB_PORT: '0',
        WSHUB_OPS_PORT: '0',
        WSHUB_WORKERS: '2',
        WSHUB_HANDLERS: path,
        TMPDIR: folder,
      });
      assert.match(stderr, /^wshub: handlers module [^\n]+\n$/);
      assert.match(stderr, line);
      assert.ok(stderr.includes(path));
      assert.equal(code, 1);
      assert.deepEqual(readdirSync(folder), text === '' ? [] : [file]);
    });
  }
});
