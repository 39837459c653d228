/** The order of the source: imports, types included, only go down; no cycles between files or folders. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import ts from 'typescript';

/** Top to bottom. A file imports from its own folder and from lower lines; folders of one line do not know each other. */
const layers: readonly (readonly string[])[] = [
  ['cli.ts'],
  ['cli'],
  ['main.ts'],
  ['primary', 'worker', 'broker'],
  ['ingress'],
  ['admin'],
  ['session'],
  ['handlers'],
  ['http'],
  ['hub.ts'],
  ['client'],
  ['relay'],
  ['engine'],
  ['transport'],
  ['protocol'],
  ['channel'],
  ['auth'],
  ['ipc'],
  ['metrics', 'tracing'],
  ['process-manager'],
  ['config'],
  ['platform'],
];

const root = join(import.meta.dirname, '../src');

/** Folder or file at the top of src/ that a path belongs to. */
function placeOf(file: string): string {
  return file.split('/')[0] ?? '';
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();

/** File to the files that it imports, types and dynamic imports included. */
const imports = new Map(
  files.map((file) => {
    const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true);
    const local = importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith('.'));
    return [file, local.map((name) => relative(root, join(root, dirname(file), name)))];
  }),
);

/** The first cycle of a graph, as the names along it; null if there is none. */
function cycleOf(graph: ReadonlyMap<string, Iterable<string>>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): string[] | null => {
    if (done.has(node)) return null;
    const start = path.indexOf(node);
    if (start !== -1) return [...path.slice(start), node];
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node);
    if (cycle) return cycle;
  }
  return null;
}

describe('src/', () => {
  it('has only folders and files that the order names', () => {
    assert.deepEqual([...new Set(files.map(placeOf))].sort(), layers.flat().sort());
  });

  it('imports only downwards', () => {
    const level = (file: string) => layers.findIndex((line) => line.includes(placeOf(file)));
    const upward = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => placeOf(target) !== placeOf(file) && level(target) <= level(file))
        .map((target) => `${file} -> ${target}`),
    );
    assert.deepEqual(upward, []);
  });

  it('has no cycles between files', () => {
    assert.equal(cycleOf(imports), null);
  });

  it('has no cycles between folders', () => {
    const folders = new Map<string, Set<string>>();
    for (const [file, targets] of imports) {
      const own = dirname(file);
      const others = folders.get(own) ?? new Set<string>();
      for (const target of targets) {
        const other = dirname(target);
        const isNested = `${own}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${own}/`);
        if (!isNested) others.add(other); // a table in a folder and its rows below it belong together
      }
      folders.set(own, others);
    }
    folders.delete('.');
    assert.equal(cycleOf(folders), null);
  });

  it('stands in docs/architecture.md in the same order', () => {
    const page = readFileSync(join(root, '../docs/architecture.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `([^|]+)` +\|/gm)].map(([, cell]) =>
      (cell ?? '').split('`, `').map((name) => name.replace(/\/$/, '')),
    );
    assert.deepEqual(listed, layers);
  });

  it('finds an upward import and a cycle where there is one', () => {
    assert.deepEqual(
      cycleOf(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['a']],
        ]),
      ),
      ['a', 'b', 'c', 'a'],
    );
    assert.equal(
      cycleOf(
        new Map([
          ['a', ['b', 'c']],
          ['b', ['c']],
        ]),
      ),
      null,
    );
  });
});
