// Measures the hub of this tree and that of another commit in turn, A B A B, and prints how they compare. The other
// commit is checked out, installed and built in a temporary directory; this tree's bench drives both, each through its
// own dist/cli.js. With --together both run at once: a disturbance of one disturbs the other, so the ratio of light
// workloads (pairs, rooms) hardly scatters. Heavy workloads get into each other's way, and absolute figures are those of
// a shared machine. Exits with 1 where a cost has grown: the whole interval of its ratio lies above 1.03.
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

const usage = 'node bench/compare.ts REV [--quick] [--only A,B] [--rounds N] [--together]';

/** What one unit of work costs the server; of these, less is better. */
const costs: readonly MetricName[] = [
  'cpuPerDeliveryUs',
  'cpuPerMessageUs',
  'cpuPerConnectionUs',
  'memoryPerConnectionKb',
];
/** A cost may grow by this ratio. */
const tolerated = 1.03;
const minRounds = 7;

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

/** The ratios of all rounds: the two measurements of one round lie closest to each other in time. */
function ratiosOf(name: MetricName, before: readonly Outcome[], now: readonly Outcome[]): number[] {
  return now.map(({ metrics }, round) => (metrics[name] ?? NaN) / (before[round]?.metrics[name] ?? NaN));
}

/**
 * The interval that holds the true median with at least 95 % confidence (sign test): from the k-th lowest to the k-th
 * highest value. With fewer than six values no interval reaches that, and the range is printed instead.
 */
function intervalOf(values: readonly number[]): [low: number, high: number] {
  const sorted = [...values].sort((a, b) => a - b);
  let cut = 0;
  let probability = 2 ** -sorted.length; // of at most `cut` values below the median
  let cumulative = probability;
  while (cumulative + (probability * (sorted.length - cut)) / (cut + 1) <= 0.025) {
    probability *= (sorted.length - cut) / (cut + 1);
    cut += 1;
    cumulative += probability;
  }
  return [sorted[cut] ?? NaN, sorted[sorted.length - 1 - cut] ?? NaN];
}

/** @returns the costs that have grown */
function printComparison(rev: string, before: readonly Report[], now: readonly Report[]): string[] {
  const grown: string[] = [];
  const earlier = outcomesOf(before);
  const later = outcomesOf(now);
  const lines = [...later].flatMap(([key, outcomes]) => {
    const others = earlier.get(key) ?? [];
    const [a, b] = [others, outcomes].map((list) => (list.length > 0 ? medianOf(list).metrics : {}));
    return (Object.keys(b ?? {}) as MetricName[]).map((name) => {
      const ratios = ratiosOf(name, others, outcomes);
      const [low, high] = intervalOf(ratios);
      if (costs.includes(name) && ratios.length >= minRounds && low > tolerated) {
        grown.push(`${key}: ${metrics[name].header}`);
      }
      return [
        key,
        metrics[name].header,
        formatMetric(name, a?.[name]),
        formatMetric(name, b?.[name]),
        formatRatio(median(ratios)),
        `${formatRatio(low)} to ${formatRatio(high)}`,
      ];
    });
  });
  const table = aligned([['workload', 'figure', rev, 'this tree', 'ratio', 'interval'], ...lines]);
  const notes = [...notesOf(rev, earlier), ...notesOf('this tree', later)];
  process.stdout.write(`${now[0]?.machine ?? ''}\n\n${[...table, ...notes].join('\n')}\n`);
  return grown;
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
  const grown = printComparison(rev, before, now);
  if (grown.length === 0) return;
  process.stdout.write(`grown by more than ${Math.round((tolerated - 1) * 100)} %: ${grown.join(', ')}\n`);
  process.exitCode = 1;
}

const { values, positionals } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: String(minRounds) },
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
