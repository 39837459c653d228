/** Asks the whole hub: every worker that an action concerns does its part, and the parts become one answer. */
import type { Call, Execute, HubFacts, WorkerPart } from '../admin/action.ts';
import { DeadlineError } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import { WorkerGoneError, type WorkerProcess } from './worker-process.ts';

/** @param workers all processes that have not exited */
export function askWorkers(workers: () => readonly WorkerProcess[], facts: HubFacts): Execute {
  return async (call, trace) => {
    const asked = targets(workers(), call);
    const parts =
      call.target === 'one'
        ? [await firstPart(asked, call, trace)]
        : await Promise.all(asked.map((worker) => partOf(worker, call, trace)));
    return call.merge(
      parts.filter((part) => part !== null),
      facts,
    );
  };
}

function targets(workers: readonly WorkerProcess[], { target }: Call): readonly WorkerProcess[] {
  const serving = workers.filter((worker) => worker.serving);
  if (typeof target === 'object') return serving.filter(({ id }) => id === target.workerId);
  if (serving.length === 0) throw new HubError('unavailable');
  if (target === 'all') return serving;
  // A draining worker may be gone before its part is done, and a silent one may hang. Among the others it is always
  // the first, so that what one client publishes stays in order.
  const fitness = ({ state, responsive }: WorkerProcess) =>
    2 * Number(responsive) + Number(state === 'ready');
  return serving.toSorted((a, b) => fitness(b) - fitness(a));
}

/** The part of the first worker that has not left the mesh. */
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

/** A worker's part; null if it is gone or has left the mesh, and its connections with it. */
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
    if (cause instanceof WorkerGoneError && !onlyOnce) return null;
    if (!(cause instanceof WorkerGoneError || cause instanceof DeadlineError)) throw cause;
    const who = `worker ${worker.id} (slot ${worker.slot}, pid ${worker.pid})`;
    const what = cause instanceof DeadlineError ? `did not answer within ${call.timeoutMs} ms` : 'died';
    // Not even another worker may be asked to do it.
    const consequence = onlyOnce
      ? 'outcome unknown: the message may have been published, or may still be'
      : 'the request can be repeated';
    throw new HubError('worker_timeout', `${who} ${what}; ${consequence}`, { cause });
  }
}
