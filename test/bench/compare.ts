// Measures the hub of this tree and that of another commit in turn, A B A B, and prints how they compare. The other
// commit is checked out, installed and built in a temporary directory; both are driven by this tree's bench.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Report } from './main.ts';
import { formatMetric, formatRatio, medianOf, metrics, type MetricName, type Outcome } from './metrics.ts';
import { ownTree } from './options.ts';
import { makeDirectory, owned, stopAllAtExit } from './processes.ts';
import { aligned } from './table.ts';

const usage = 'node test/bench/compare.ts REV [--quick] [--only A,B] [--rounds N]';

async function measure(tree: string, file: string, passed: readonly string[]): Promise<Report> {
  const args = ['--servers', 'wshub', '--tree', tree, '--json', file, ...passed];
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  owned.add(child);
  const [code] = (await once(child, 'exit')) as [number | null];
  owned.delete(child);
  if (code !== 0) throw new Error(`the bench of ${tree} ended with ${code ?? 'a signal'}`);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

/** The median outcome of every row, by workload and label. */
function mediansOf(reports: readonly Report[]): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome[]>();
  for (const { workload, rows } of reports.flatMap(({ results }) => results)) {
    for (const { label, outcome } of rows) {
      const key = `${workload} (${label})`;
      outcomes.set(key, [...(outcomes.get(key) ?? []), outcome]);
    }
  }
  return new Map([...outcomes].map(([key, list]) => [key, medianOf(list)]));
}

function printComparison(rev: string, before: readonly Report[], now: readonly Report[]): void {
  const earlier = mediansOf(before);
  const later = mediansOf(now);
  const lines = [...later].flatMap(([key, outcome]) =>
    (Object.keys(outcome.metrics) as MetricName[]).map((name) => {
      const a = earlier.get(key)?.metrics[name];
      const b = outcome.metrics[name];
      const ratio = formatRatio((b ?? NaN) / (a ?? NaN));
      return [key, metrics[name].header, formatMetric(name, a), formatMetric(name, b), ratio];
    }),
  );
  const table = aligned([['workload', 'figure', rev, 'this tree', 'ratio'], ...lines]);
  const notes = [...notesOf(rev, earlier), ...notesOf('this tree', later)];
  process.stdout.write(`${now[0]?.machine ?? ''}\n\n${[...table, ...notes].join('\n')}\n`);
}

function notesOf(tree: string, outcomes: ReadonlyMap<string, Outcome>): string[] {
  return [...outcomes].flatMap(([key, { notes }]) => notes.map((note) => `  ! ${tree}, ${key}: ${note}`));
}

async function compare(rev: string, rounds: number, passed: readonly string[]): Promise<void> {
  const directory = makeDirectory('compare');
  const other = join(directory, 'tree');
  const git = (...args: string[]): unknown =>
    execFileSync('git', ['-C', ownTree, ...args], { stdio: 'inherit' });
  stopAllAtExit();
  process.on('exit', () => {
    git('worktree', 'prune'); // the directory is gone by now
  });
  git('worktree', 'add', '--detach', other, rev);
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: other,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const before: Report[] = [];
  const now: Report[] = [];
  for (let round = 0; round < rounds; round++) {
    before.push(await measure(other, join(directory, 'report.json'), passed));
    now.push(await measure(ownTree, join(directory, 'report.json'), passed));
  }
  printComparison(rev, before, now);
}

const { values, positionals } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
  },
  allowPositionals: true,
});
const [rev] = positionals;
if (rev === undefined) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const passed = [
    ...(values.quick ? ['--quick'] : []),
    ...(values.only === undefined ? [] : ['--only', values.only]),
  ];
  await compare(rev, Number(values.rounds), passed);
}
