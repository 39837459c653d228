/** Why a worker ended, for the log and for whoever reads it at night. */
import { hangMs, startTimeoutMs } from './health-check.ts';
import type { WorkerProcess } from './worker-process.ts';

type Dead = Pick<WorkerProcess, 'fault' | 'killedFor'>;

/** The cause, as far as it is known. */
export function exitCause({ fault, killedFor }: Dead, code: number | null, signal: string | null): string {
  return fault?.message ?? killedFor ?? `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`;
}

/** Where to look, and what to do; undefined: the reason says it. */
export function exitHint({ killedFor }: Dead, signal: string | null): string | undefined {
  if (killedFor === 'hang') {
    return `its event loop stood still for ${hangMs} ms: look for a handler that loops or blocks`;
  }
  if (killedFor === 'start took too long') {
    return `the handlers module must be loaded within ${startTimeoutMs} ms`;
  }
  if (killedFor !== null) return undefined;
  if (signal === 'SIGKILL')
    return 'killed from outside: if not by you, look for "Out of memory" in the kernel log';
  return 'the last lines of this worker, in the log or on standard error, say why';
}
