/** Decides whether a worker must be killed or replaced. Has no clock: the time is an argument. */
import type { WorkerProcess } from './worker-process.ts';

/** Interval of pings to each worker. */
export const pingIntervalMs = 1_000;
/** Time without a pong after which a worker is killed and replaced. */
export const hangMs = 10_000;
/** Time limit for a worker to become ready; then it is killed and replaced. */
export const startTimeoutMs = 60_000;

export type Verdict = 'fine' | 'hang' | 'start took too long' | 'memory';

type Checked = Pick<WorkerProcess, 'state' | 'answeredAt' | 'startedAt' | 'rssBytes'>;

/** @param maxMemory maximum resident bytes; 0: no limit */
export function verdictOn(worker: Checked, maxMemory: number, now: number): Verdict {
  // A starting worker loads the handlers module, which may block its event loop.
  if (worker.state === 'starting') {
    return now - worker.startedAt > startTimeoutMs ? 'start took too long' : 'fine';
  }
  if (now - worker.answeredAt > hangMs) return 'hang';
  if (worker.state === 'ready' && maxMemory > 0 && worker.rssBytes > maxMemory) return 'memory';
  return 'fine';
}
