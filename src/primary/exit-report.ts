/** Cause of a worker's exit, and advice for the operator, for the log. */
import { hangMs, startTimeoutMs } from './health-check.ts';
import type { WorkerProcess } from './worker-process.ts';

type Dead = Pick<WorkerProcess, 'fault' | 'killedFor'>;

/** Returns the cause, as far as it is known. */
export function exitCause({ fault, killedFor }: Dead, code: number | null, signal: string | null): string {
  return fault?.message ?? killedFor ?? `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`;
}

/** Returns what to look at and what to do; undefined if the cause is enough. */
export function exitHint({ killedFor }: Dead, signal: string | null): string | undefined {
  if (killedFor === 'hang') {
    return `its event loop was blocked for ${hangMs} ms: look for a handler that loops or blocks`;
  }
  if (killedFor === 'start took too long') {
    return `the handlers module must be loaded within ${startTimeoutMs} ms`;
  }
  if (killedFor !== null) return undefined;
  if (signal === 'SIGKILL')
    return 'killed by another process: unless it was you, look for "Out of memory" in the kernel log';
  return 'see the last lines of this worker in the log and on standard error';
}
