/** Handlers of a real project: a folder of its own anywhere on the machine, with its own packages in node_modules. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, hubFor, temporaryFolder } from '../support.ts';

const example = join(import.meta.dirname, '../../deploy/example-handlers.ts');

/** A folder with these files. */
function project(t: Parameters<typeof temporaryFolder>[0], files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder(t);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

const greeting = {
  'node_modules/greeting/package.json': '{"name":"greeting","version":"1.0.0","main":"index.js"}',
  'node_modules/greeting/index.js': 'module.exports = (name) => `hello ${name}`;',
};

describe('a handlers module outside of the hub', () => {
  it('imports wshub/handlers, its own packages and its own files', async (t) => {
    const folder = project(t, {
      ...greeting,
      'package.json': '{"type":"module","dependencies":{"greeting":"1.0.0"}}',
      'names.ts': 'export const nobody: string = "nobody";',
      'index.ts': `
        import { defineHandlers } from 'wshub/handlers';
        import greet from 'greeting';
        import { nobody } from './names.ts';
        export default defineHandlers({
          types: { greet: ({ name }) => ({ text: greet(name ?? nobody) }) },
        });`,
    });
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: join(folder, 'index.ts') } });
    const client = await connect(hub, 'a');
    client.send({ type: 'greet' });
    assert.deepEqual(await client.next(), { text: 'hello nobody' });
    assert.equal(hub.stderr, '');
  });

  it('may be CommonJS', async (t) => {
    const folder = project(t, {
      ...greeting,
      'index.cjs': `
        const { defineHandlers } = require('wshub/handlers');
        const greet = require('greeting');
        module.exports = defineHandlers({ types: { greet: () => ({ text: greet('you') }) } });`,
    });
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: join(folder, 'index.cjs') } });
    const client = await connect(hub, 'a');
    client.send({ type: 'greet' });
    assert.deepEqual(await client.next(), { text: 'hello you' });
  });

  it('gets the API of the hub that runs, not that of another wshub in its node_modules', async (t) => {
    const folder = project(t, {
      'package.json': '{"type":"module"}',
      'node_modules/wshub/package.json': '{"name":"wshub","exports":{"./handlers":"./other.js"}}',
      'node_modules/wshub/other.js': 'throw new Error("another version");',
      'index.js': `
        import { defineHandlers } from 'wshub/handlers';
        export default defineHandlers({});`,
    });
    await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: join(folder, 'index.js') } });
  });

  it('may be the example, copied', async (t) => {
    const folder = project(t, { 'package.json': '{"type":"module"}' });
    cpSync(example, join(folder, 'index.ts'));
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_HANDLERS: join(folder, 'index.ts') } });
    const client = await connect(hub, 'a');
    client.send({ type: 'chat', text: 'hi' });
    const { type, text } = (await client.next()) as Record<string, unknown>;
    assert.deepEqual([type, text], ['chat', 'hi']);
  });
});
