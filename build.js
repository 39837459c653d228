/**
 * Builds dist/ from src/: `npm run build`, and `npm ci` by way of `prepare`. With tsc; in an installation without
 * development dependencies (NODE_ENV=production, --omit=dev) by taking the types out, which makes the same program
 * without type declarations and source maps.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

const root = import.meta.dirname;
const dist = join(root, 'dist');
const tsc = join(root, 'node_modules/typescript/bin/tsc');

if (process.argv.includes('--check')) {
  if (!existsSync(join(dist, 'cli.js'))) fail('the hub is not built: run npm run build');
} else {
  rmSync(dist, { recursive: true, force: true });
  if (existsSync(tsc)) {
    try {
      execFileSync(process.execPath, [tsc], { cwd: root, stdio: 'inherit' });
    } catch {
      process.exit(1); // tsc has said why
    }
  } else {
    stripTypes();
  }
  chmodSync(join(dist, 'cli.js'), 0o755);
}

function stripTypes() {
  const { stripTypeScriptTypes } = nodeModule;
  if (stripTypeScriptTypes === undefined)
    fail(`Node 24 or later is needed to build, this is ${process.version}`);
  process.removeAllListeners('warning'); // "stripTypeScriptTypes is an experimental feature"
  for (const file of globSync('**/*.ts', { cwd: join(root, 'src') })) {
    const code = stripTypeScriptTypes(readFileSync(join(root, 'src', file), 'utf8'));
    const target = join(dist, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    // Between the files of src; in strings nothing else begins like that.
    writeFileSync(target, code.replace(/(\b(?:from|import\()\s*')(\.{1,2}\/[^'\n]+)\.ts'/g, "$1$2.js'"));
  }
}

/** @param {string} sentence */
function fail(sentence) {
  process.stderr.write(`wshub: ${sentence}\n`);
  process.exit(1);
}
