// The bench: every workload against every server in turn, one table each. See options.ts for its options.
import { writeFileSync } from 'node:fs';
import { machineLine } from './machine.ts';
import { medianOf, type Outcome } from './metrics.ts';
import { durationsOf, loadsOf, parseOptions, usage, type Options } from './options.ts';
import { installPeers } from './install-peers.ts';
import type { Load } from './procedures/trial.ts';
import { stopAllAtExit } from './processes.ts';
import { baseline } from './servers/servers.ts';
import type { Server } from './servers/server.ts';
import { wshub } from './servers/wshub.ts';
import { printTable, type Row } from './table.ts';
import type { Workload } from './workloads.ts';

interface Entry {
  readonly label: string;
  readonly server: Server;
  readonly load: Load;
  readonly outcomes: Outcome[];
}

/** What --json writes. */
export interface Report {
  readonly machine: string;
  readonly quick: boolean;
  readonly runs: number;
  readonly results: readonly { readonly workload: string; readonly rows: readonly Row[] }[];
}

function failure(note: string): Outcome {
  return { metrics: {}, notes: [note] };
}

function entriesOf(options: Options, workload: Workload): Entry[] {
  const servers = options.servers
    .filter(({ name }) => name === wshub.name || !workload.hubOnly || workload.beside?.includes(name))
    .filter(({ workloads }) => workloads?.includes(workload.name) ?? true);
  return servers.flatMap((server) =>
    Object.entries(loadsOf(options, workload)).map(([variant, load]) => ({
      label: variant === '' ? server.name : `${server.name}, ${variant}`,
      ...{ server, load, outcomes: [] },
    })),
  );
}

async function measure(options: Options, workload: Workload, { server, load }: Entry): Promise<Outcome> {
  if (server.version(options.tree) === null) return failure(`not installed: ${server.install}`);
  try {
    const durations = { ...durationsOf(options), ...load.durations };
    return await workload.procedure({ server, load, tree: options.tree, durations });
  } catch (error) {
    return failure(error instanceof Error ? error.message : String(error));
  }
}

/** The servers take turns within each run, so that a machine that changes its speed changes it for all. */
async function run(options: Options, workload: Workload): Promise<Row[]> {
  const entries = entriesOf(options, workload);
  for (let i = 0; i < options.runs; i++) {
    for (const entry of entries) {
      process.stderr.write(`${workload.name}: ${entry.label}\n`);
      entry.outcomes.push(await measure(options, workload, entry));
    }
  }
  return entries.map(({ label, outcomes }) => ({ label, outcome: medianOf(outcomes) }));
}

async function bench(options: Options): Promise<void> {
  stopAllAtExit();
  installPeers(options.servers, options.tree);
  const machine = machineLine(options.servers, options.tree);
  process.stdout.write(`${machine}\n\n`);
  const results: Report['results'][number][] = [];
  for (const workload of options.workloads) {
    const rows = await run(options, workload);
    process.stdout.write(`${printTable(workload, rows, baseline.name)}\n`);
    results.push({ workload: workload.name, rows });
  }
  const { quick, runs, json } = options;
  const report: Report = { machine, quick, runs, results };
  if (json !== null) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}

function optionsOrUsage(): Options | null {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
    process.exitCode = 2;
    return null;
  }
}

const options = optionsOrUsage();
if (options) await bench(options);
