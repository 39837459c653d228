/** Asks the whole hub: every worker on which clients can be does its part, and the parts become one answer. */
import {
  partTimeoutMs,
  type ActionInput,
  type ActionName,
  type PartialResult,
  type Execute,
} from '../admin/actions.ts';
import { DeadlineError } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import { mergers, type HubFacts, type Mergers, type WorkerPart } from '../admin/merge.ts';
import { WorkerGoneError, type WorkerProcess } from './worker-process.ts';

/** @param workers all processes that have not exited */
export function askWorkers(workers: () => readonly WorkerProcess[], facts: HubFacts): Execute {
  return async <A extends ActionName>(action: A, input: ActionInput<A>, trace?: string) => {
    const asked = targets(workers(), action, input);
    const answers =
      action === 'publish'
        ? [await firstPart(asked, action, input, trace)]
        : await Promise.all(asked.map((worker) => partOf(worker, action, input, trace)));
    const merge: Mergers[A] = mergers[action];
    return merge(
      input,
      answers.filter((part) => part !== null),
      facts,
    );
  };
}

function targets<A extends ActionName>(
  workers: readonly WorkerProcess[],
  action: A,
  input: ActionInput<A>,
): readonly WorkerProcess[] {
  const serving = workers.filter((worker) => worker.serving);
  if (action === 'kill_connection') {
    const { workerId } = input as ActionInput<'kill_connection'>;
    return serving.filter((worker) => worker.id === workerId);
  }
  if (serving.length === 0) throw new HubError('unavailable');
  if (action !== 'publish') return serving;
  // One that drains may be gone before it has published, and one that is silent may hang. Among the others it is always
  // the first, so that what one client publishes stays in order.
  const fitness = ({ state, responsive }: WorkerProcess) =>
    2 * Number(responsive) + Number(state === 'ready');
  return serving.toSorted((a, b) => fitness(b) - fitness(a));
}

/** The part of the first worker that has not left the mesh. */
async function firstPart<A extends ActionName>(
  workers: readonly WorkerProcess[],
  action: A,
  input: ActionInput<A>,
  trace: string | undefined,
): Promise<WorkerPart<PartialResult<A>> | null> {
  for (const worker of workers) {
    const part = await partOf(worker, action, input, trace);
    if (part) return part;
  }
  return null;
}

/** A worker's part; null if it is gone or has left the mesh, and its connections with it. */
async function partOf<A extends ActionName>(
  worker: WorkerProcess,
  action: A,
  input: ActionInput<A>,
  trace: string | undefined,
): Promise<WorkerPart<PartialResult<A>> | null> {
  try {
    const part = await worker.ask(action, input, partTimeoutMs(action), trace);
    return part === null ? null : { worker, part };
  } catch (cause) {
    if (cause instanceof WorkerGoneError && action !== 'publish') return null;
    if (!(cause instanceof WorkerGoneError || cause instanceof DeadlineError)) throw cause;
    const who = `worker ${worker.id} (slot ${worker.slot}, pid ${worker.pid})`;
    const what =
      cause instanceof DeadlineError ? `did not answer within ${partTimeoutMs(action)} ms` : 'died';
    // Not even another worker may be asked to publish it.
    const consequence =
      action === 'publish'
        ? 'outcome unknown: the message may have been published, or may still be'
        : 'the request can be repeated';
    throw new HubError('worker_timeout', `${who} ${what}; ${consequence}`, { cause });
  }
}
