/**
 * The command line: runs the command that the arguments name. A failure ends the process with one line on standard
 * error. On a Node that is too old the installed one takes over.
 */
import { OperatorError } from '../platform/errors.ts';
import { handOver, installedNode, oldestNode } from '../platform/newer-node.ts';
import { printableLines } from '../platform/printable.ts';

/** Runs the command of these arguments; ends the process if it fails. */
export async function runCommandLine(args: string[]): Promise<void> {
  try {
    await requireNode();
    const { runProgram } = await import('./program.ts'); // an older Node cannot load it
    await runProgram(args);
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
