/**
 * The command line: runs the command that the arguments name. A failure ends the process with one line on standard
 * error. On a Node that is too old the installed one takes over. Each command is loaded when it is called.
 */
import { parseArgs } from 'node:util';
import { messageOf, OperatorError } from '../platform/errors.ts';
import { handOver, installedNode, oldestNode } from '../platform/newer-node.ts';
import { printableLines } from '../platform/printable.ts';
import { version } from '../platform/version.ts';
import { helpText } from './help.ts';
import { loadSettings } from './load-settings.ts';

/** Runs the command of these arguments; ends the process if it fails. */
export async function runCommandLine(args: string[]): Promise<void> {
  try {
    await requireNode();
    await run(args);
  } catch (error) {
    const text =
      error instanceof OperatorError ? error.message : error instanceof Error ? error.stack : error;
    try {
      process.stderr.write(`wshub: ${printableLines(String(text))}\n`);
    } catch {
      // standard error cannot be written; the exit code still reports the failure
    }
    process.exit(error instanceof OperatorError ? error.exitCode : 1);
  }
}

async function requireNode(): Promise<void> {
  if (Number(process.versions.node.split('.')[0]) >= oldestNode) return;
  const installed = installedNode();
  if (installed !== null) await handOver(installed, process.argv.slice(1));
  throw new OperatorError(`Node ${oldestNode} or later is needed, this is ${process.version}`);
}

async function run(args: string[]): Promise<void> {
  const { command, options } = parse(args);
  if (options.help) {
    print(helpText(command));
  } else if (options.version) {
    print(version);
  } else if (command === 'check-config') {
    const { checkConfig } = await import('./check-config.ts');
    process.exitCode = await checkConfig(loadSettings(options.config));
  } else if (command === 'doctor') {
    const { doctor } = await import('./doctor/doctor.ts');
    const { text, bad } = await doctor(loadSettings(options.config));
    print(text);
    process.exitCode = bad ? 1 : 0;
  } else if (command === 'top') {
    const { top } = await import('./top/top.ts');
    await top(loadSettings(options.config), process.stdin, process.stdout);
    process.exit(0); // a request to the hub may still wait for its answer
  } else if (command === 'api-key') {
    const { apiKeyText } = await import('./api-key.ts');
    print(apiKeyText());
  } else if (command === undefined || command === 'start') {
    const { start } = await import('./start.ts');
    await start(() => loadSettings(options.config));
    process.exit(0);
  } else {
    throw new OperatorError(`unknown command "${command}"; wshub --help lists them`);
  }
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

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
