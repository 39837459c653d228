// Measures the hub of this tree and that of another commit in turn, A B A B, and prints how they compare. The other
// commit is checked out, installed and built in a temporary directory; both are driven by this tree's bench. With
// --together both run at once: what disturbs one disturbs the other, and of light workloads (pairs, rooms) the ratio
// then hardly scatters. Heavy ones get into each other's way, and the figures themselves are of a machine that is shared.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Report } from './main.ts';
import {
  formatMetric,
  formatRatio,
  median,
  medianOf,
  metrics,
  type MetricName,
  type Outcome,
} from './metrics.ts';
import { ownTree } from './options.ts';
import { makeDirectory, owned, stopAllAtExit } from './processes.ts';
import { aligned } from './table.ts';

const usage = 'node test/bench/compare.ts REV [--quick] [--only A,B] [--rounds N] [--together]';

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

/** The outcomes of every row, by workload and label; one for each round. */
function outcomesOf(reports: readonly Report[]): Map<string, Outcome[]> {
  const outcomes = new Map<string, Outcome[]>();
  for (const { workload, rows } of reports.flatMap(({ results }) => results)) {
    for (const { label, outcome } of rows) {
      const key = `${workload} (${label})`;
      outcomes.set(key, [...(outcomes.get(key) ?? []), outcome]);
    }
  }
  return outcomes;
}

/** The median of what the rounds say: the two of one round were measured closest to each other. */
function ratioOf(name: MetricName, before: readonly Outcome[], now: readonly Outcome[]): number {
  const ratios = now.map(
    ({ metrics }, round) => (metrics[name] ?? NaN) / (before[round]?.metrics[name] ?? NaN),
  );
  return median(ratios);
}

function printComparison(rev: string, before: readonly Report[], now: readonly Report[]): void {
  const earlier = outcomesOf(before);
  const later = outcomesOf(now);
  const lines = [...later].flatMap(([key, outcomes]) => {
    const others = earlier.get(key) ?? [];
    const [a, b] = [others, outcomes].map((list) => (list.length > 0 ? medianOf(list).metrics : {}));
    return (Object.keys(b ?? {}) as MetricName[]).map((name) => {
      const ratio = formatRatio(ratioOf(name, others, outcomes));
      return [key, metrics[name].header, formatMetric(name, a?.[name]), formatMetric(name, b?.[name]), ratio];
    });
  });
  const table = aligned([['workload', 'figure', rev, 'this tree', 'ratio'], ...lines]);
  const notes = [...notesOf(rev, earlier), ...notesOf('this tree', later)];
  process.stdout.write(`${now[0]?.machine ?? ''}\n\n${[...table, ...notes].join('\n')}\n`);
}

function notesOf(tree: string, outcomes: ReadonlyMap<string, Outcome[]>): string[] {
  return [...outcomes].flatMap(([key, list]) =>
    medianOf(list).notes.map((note) => `  ! ${tree}, ${key}: ${note}`),
  );
}

async function compare(
  rev: string,
  rounds: number,
  together: boolean,
  passed: readonly string[],
): Promise<void> {
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
    const first = measure(other, join(directory, 'before.json'), passed);
    if (!together) await first;
    const second = measure(ownTree, join(directory, 'now.json'), passed);
    const [earlier, later] = await Promise.all([first, second]);
    before.push(earlier);
    now.push(later);
  }
  printComparison(rev, before, now);
}

const { values, positionals } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    together: { type: 'boolean', default: false },
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
  await compare(rev, Number(values.rounds), values.together, passed);
}
