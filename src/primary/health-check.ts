/** When a worker must go: it hangs, is not getting ready, or holds too much memory. Dry: the time is an argument. */
import type { WorkerProcess } from './worker-process.ts';

/** a worker is asked this often whether it is alive */
export const pingIntervalMs = 1_000;
/** without an answer for this long it is killed and replaced */
export const hangMs = 10_000;
/** a worker that is not ready by then is killed and replaced */
export const startTimeoutMs = 60_000;

export type Verdict = 'fine' | 'hang' | 'start took too long' | 'memory';

type Checked = Pick<WorkerProcess, 'state' | 'answeredAt' | 'startedAt' | 'rssBytes'>;

/** @param maxMemory resident bytes that a worker may hold; 0 sets no limit */
export function verdictOn(worker: Checked, maxMemory: number, now: number): Verdict {
  // One that starts loads the user's module, which may take its time without a turn of the event loop.
  if (worker.state === 'starting') {
    return now - worker.startedAt > startTimeoutMs ? 'start took too long' : 'fine';
  }
  if (now - worker.answeredAt > hangMs) return 'hang';
  if (worker.state === 'ready' && maxMemory > 0 && worker.rssBytes > maxMemory) return 'memory';
  return 'fine';
}
