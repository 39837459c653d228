/**
 * Port 0 of the settings: any free port to begin with, and from then on the one that was announced. node:cluster
 * shares one listening socket among those who ask for the same number, so a successor asks as those do that are
 * ready; if nobody is, the socket is closed, and it asks for the port that the hub had.
 */
import type { WorkerProcess } from './worker-process.ts';

export class FreePort {
  /** as it was announced; 0 until then */
  #announced = 0;
  /** what workers were told to ask for; one that is not in here has a port of the settings' own */
  readonly #asked = new WeakMap<WorkerProcess, number>();

  announce(port: number): void {
    this.#announced = port;
  }

  /** What a worker that starts now is to ask for. @param workers all that have not exited */
  ask(workers: readonly WorkerProcess[]): number {
    const sharing = workers.find((worker) => worker.state === 'ready' && this.#asked.has(worker));
    return sharing ? (this.#asked.get(sharing) ?? 0) : this.#announced;
  }

  asked(worker: WorkerProcess, port: number): void {
    this.#asked.set(worker, port);
  }

  /** False: the worker had been told before the socket was closed, and clients would not find it. */
  isRight(worker: WorkerProcess, port: number): boolean {
    if (!this.#asked.has(worker)) this.#announced = 0; // a reload has set another port
    return this.#announced === 0 || this.#announced === port;
  }
}
