// What one run of the bench is asked to do, read from the command line.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Durations } from './procedures/trial.ts';
import { servers } from './servers/servers.ts';
import type { Server } from './servers/server.ts';
import { workloads, type Workload } from './workloads.ts';

export interface Options {
  readonly quick: boolean;
  readonly runs: number;
  readonly servers: readonly Server[];
  readonly workloads: readonly Workload[];
  /** Where the results go as JSON, or null. */
  readonly json: string | null;
  /** The hub's source tree, built. */
  readonly tree: string;
}

export const usage = `node bench/main.ts [options]
  --quick          everything shorter and smaller, in under two minutes
  --only A,B       of ${workloads.map(({ name }) => name).join(', ')}
  --servers A,B    of ${servers.map(({ name }) => name).join(', ')}
  --runs N         measure N times and print medians
  --json FILE      also write the results there
  --tree DIR       measure the hub that is built in this directory`;

export const ownTree = join(import.meta.dirname, '..');

const thorough: Durations = {
  warmMs: 15_000, // just-in-time compilers need it: after 1.5 s a Node server's messages cost up to twice as much
  measureMs: 5000,
  drainMs: 5000,
  settleMs: 3000,
  refinements: 3,
  attempts: 2,
};
const brief: Durations = {
  warmMs: 100,
  measureMs: 400,
  drainMs: 300,
  settleMs: 200,
  refinements: 0,
  attempts: 1,
};

export function durationsOf({ quick }: Options): Durations {
  return quick ? brief : thorough;
}

export function loadsOf({ quick }: Options, workload: Workload): Workload['loads'] {
  return (quick ? workload.quickLoads : null) ?? workload.loads;
}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      servers: { type: 'string' },
      runs: { type: 'string', default: '1' },
      json: { type: 'string' },
      tree: { type: 'string', default: ownTree },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs ${values.runs}: not a whole number above 0`);
  return {
    quick: values.quick,
    runs,
    servers: chosen('--servers', servers, values.servers),
    workloads: chosen('--only', workloads, values.only),
    json: values.json === undefined ? null : resolve(values.json),
    tree: resolve(values.tree),
  };
}

function chosen<T extends { readonly name: string }>(
  option: string,
  table: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return table;
  const wanted = names.split(',');
  const unknown = wanted.find((name) => !table.some((row) => row.name === name));
  if (unknown !== undefined) throw new Error(`${option} ${unknown}: not one of those below`);
  return table.filter(({ name }) => wanted.includes(name));
}
