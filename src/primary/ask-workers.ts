/** Sends an admin action to the workers of this machine that it targets. */
import type { Call, WorkerPart } from '../admin/action.ts';
import { DeadlineError, GoneError } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import type { AskParts } from './ask-machines.ts';
import type { WorkerProcess } from './worker-process.ts';

/**
 * Returns a function that resolves with the parts of the workers, and rejects with a HubError.
 * @param workers all processes that have not exited
 */
export function askWorkers(workers: () => readonly WorkerProcess[]): AskParts {
  return async (call, trace) => {
    const asked = targets(workers(), call);
    const parts =
      call.target === 'one' || call.target === 'any'
        ? [await firstPart(asked, call, trace)]
        : await Promise.all(asked.map((worker) => partOf(worker, call, trace)));
    return parts.filter((part) => part !== null);
  };
}

function targets(workers: readonly WorkerProcess[], { target }: Call): readonly WorkerProcess[] {
  if (target === 'none') return [];
  const serving = workers.filter((worker) => worker.serving);
  if (typeof target === 'object') return serving.filter(({ id }) => id === target.workerId);
  if (serving.length === 0) throw new HubError('unavailable');
  if (target === 'all') return serving;
  // A draining worker may exit before its part is done, and an unresponsive one may hang. Among the others the first is
  // taken each time, so that publications of one client stay in order.
  const fitness = ({ state, responsive }: WorkerProcess) =>
    2 * Number(responsive) + Number(state === 'ready');
  return serving.toSorted((a, b) => fitness(b) - fitness(a));
}

/** Returns the part of the first worker that has not left the mesh. */
async function firstPart(
  workers: readonly WorkerProcess[],
  call: Call,
  trace: string | undefined,
): Promise<WorkerPart<unknown> | null> {
  for (const worker of workers) {
    const part = await partOf(worker, call, trace);
    if (part) return part;
  }
  return null;
}

/** Returns a worker's part; null if it has exited or left the mesh: its connections are closed then. */
async function partOf(
  worker: WorkerProcess,
  call: Call,
  trace: string | undefined,
): Promise<WorkerPart<unknown> | null> {
  const onlyOnce = call.target === 'one';
  try {
    const part = await worker.ask(call, trace);
    return part === null ? null : { worker, part };
  } catch (cause) {
    if (cause instanceof GoneError && !onlyOnce) return null;
    if (!(cause instanceof GoneError || cause instanceof DeadlineError)) throw cause;
    const name = `worker ${worker.id} (slot ${worker.slot}, pid ${worker.pid})`;
    const what = cause instanceof DeadlineError ? `did not answer within ${call.timeoutMs} ms` : 'died';
    // Such an action must not be sent to another worker: the first one may have executed it.
    const consequence = onlyOnce
      ? 'outcome unknown: the message may have been published, or may still be'
      : 'the request can be repeated';
    throw new HubError('worker_timeout', `${name} ${what}; ${consequence}`, { cause });
  }
}
