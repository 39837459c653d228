#!/usr/bin/env node
/** The command line: `wshub [start]`, `check-config`, `doctor`, `top`, `--help`, `--version`. */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { helpText } from './cli/help.ts';
import { readSettings } from './config/reader.ts';
import type { Settings } from './config/settings.ts';
import { OperatorError, messageOf } from './platform/errors.ts';
import { handOver, installedNode } from './platform/newer-node.ts';
import { printableLines } from './platform/printable.ts';
import { credentialsOf } from './process-manager/credentials.ts';
import { version } from './platform/version.ts';

const oldestNode = 24;

/** EX_CONFIG (sysexits.h): trying again is in vain. ecosystem.config.js tells PM2 so. */
const badConfiguration = 78;
/** of a start that failed */
let exitCode = 1;

async function run(args: string[]): Promise<void> {
  const { command, options } = parse(args);
  if (options.help) {
    print(helpText(command));
  } else if (options.version) {
    print(version);
  } else if (command === 'check-config') {
    const { startFaults } = await import('./primary/check-start.ts');
    const faults = await startFaults(loadSettings(options.config), process.env);
    for (const fault of faults) process.stderr.write(`wshub: ${fault}\n`);
    if (faults.length === 0) print('configuration OK');
    process.exitCode = faults.length === 0 ? 0 : 1;
  } else if (command === 'doctor') {
    const { doctor } = await import('./cli/doctor/doctor.ts');
    const { text, bad } = await doctor(loadSettings(options.config));
    print(text);
    process.exitCode = bad ? 1 : 0;
  } else if (command === 'top') {
    const { top } = await import('./cli/top/top.ts');
    await top(loadSettings(options.config), process.stdin, process.stdout);
    process.exit(0); // a question to the hub may still wait for its answer
  } else if (command === undefined || command === 'start') {
    refuseForeignCluster();
    const settings = loadSettings(options.config);
    const { startHub } = await import('./main.ts');
    await startHub(settings, () => loadSettings(options.config));
    process.exit(0);
  } else {
    throw new OperatorError(`unknown command "${command}"; wshub --help lists them`);
  }
}

/**
 * PM2's cluster mode runs this program as a worker of its own cluster, in which no hub can fork workers.
 * @throws {OperatorError} it does; PM2 restarts it in vain
 */
function refuseForeignCluster(): void {
  if (!cluster.isWorker) return;
  exitCode = badConfiguration;
  throw new OperatorError(
    'the hub is a cluster itself: start it in fork mode (PM2: exec_mode fork, instances 1); WSHUB_WORKERS sets the number of workers',
  );
}

function parse(args: string[]) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
        version: { type: 'boolean', default: false },
      },
    });
    if (positionals.length > 1) throw new Error(`one command at a time, not ${positionals.join(' ')}`);
    return { command: positionals[0], options: values };
  } catch (cause) {
    throw new OperatorError(messageOf(cause), { cause });
  }
}

function loadSettings(configFile: string | undefined): Settings {
  const credentials = credentialsOf(process.env, configFile);
  if (configFile === undefined) return readSettings(process.env, undefined, credentials);
  let text: string;
  try {
    text = readFileSync(configFile, 'utf8');
  } catch (cause) {
    throw new OperatorError(`config file ${configFile} cannot be read: ${messageOf(cause)}`, { cause });
  }
  const file = { name: configFile, folder: dirname(resolve(configFile)), text };
  return readSettings(process.env, file, credentials);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  const isOld = Number(process.versions.node.split('.')[0]) < oldestNode;
  const installed = isOld ? installedNode() : null;
  if (installed !== null) await handOver(installed, process.argv.slice(1));
  if (isOld) throw new OperatorError(`Node ${oldestNode} or later is needed, this is ${process.version}`);
  await run(process.argv.slice(2));
} catch (error) {
  const text = error instanceof OperatorError ? error.message : error instanceof Error ? error.stack : error;
  try {
    process.stderr.write(`wshub: ${printableLines(String(text))}\n`);
  } catch {
    // standard error cannot be written; the exit code still says it
  }
  process.exit(exitCode);
}
