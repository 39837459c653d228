/** Prints the test files that start no process of the hub, for `npm run test:fast`. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
/** Imports of a test that runs a hub, a tool or a server. */
const slow =
  /from '(?:[^']*\/)?(?:support|fleet|holdings|hub-with-sink|everybody|otlp-sink|resources)\.ts'|child_process/;

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join('test', file))
  .filter((file) => !slow.test(readFileSync(join(root, file), 'utf8')))
  .sort();
process.stdout.write(`${files.join(' ')}\n`);
