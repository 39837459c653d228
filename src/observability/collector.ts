/**
 * Collects the metrics of all processes. It promises that a scrape is answered in little more than a second
 * whatever the workers do, that counters never fall, and that at most one collection runs at a time.
 *
 *   a worker that answers      its counters and gauges
 *   one that stays silent      its last counters, no gauges, wshub_worker_up 0
 *   one that has exited        what it last said goes into the retired sum and stays there
 */
import { Counters } from '../counters.ts';
import type { CollectionFacts } from './primary-metrics.ts';
import { add, lasting, type Sample, type Snapshot } from './snapshot.ts';
import { counted } from './worker-metrics.ts';

/** What the collector needs of a worker; worker-process.ts fits. */
export interface Collectable {
  readonly slot: number;
  /** it can be asked */
  readonly serving: boolean;
  /** Rejects if it does not answer in time or is gone. */
  collect(timeoutMs: number): Promise<Snapshot>;
}

const timeoutMs = 1_000;
/** a result serves all who ask within this time */
const sharedMs = 1_000;

export class Collector {
  readonly #workers: () => readonly Collectable[];
  readonly #own: (facts: CollectionFacts) => Snapshot;
  /** what each worker that has not exited last said */
  readonly #last = new Map<Collectable, Snapshot>();
  /** all that workers that are gone have counted; every counter is in it from the start */
  #retired: Snapshot = counted(new Counters());
  /** the collection that runs, for all who ask meanwhile */
  #running: Promise<Snapshot[]> | null = null;
  #finished: { snapshots: Snapshot[]; at: number } | null = null;

  /**
   * @param workers all processes that have not exited
   * @param own the primary's part
   */
  constructor(workers: () => readonly Collectable[], own: (facts: CollectionFacts) => Snapshot) {
    this.#workers = workers;
    this.#own = own;
  }

  /** One snapshot for each process, and one for those that are gone. */
  collect(): Promise<Snapshot[]> {
    const finished = this.#finished;
    if (finished && performance.now() - finished.at < sharedMs) return Promise.resolve(finished.snapshots);
    this.#running ??= this.#collect().finally(() => (this.#running = null));
    return this.#running;
  }

  /** A worker says by itself what it has counted, because it is about to end. */
  reported(worker: Collectable, snapshot: Snapshot): void {
    this.#last.set(worker, snapshot);
  }

  /** The worker's process is gone, and with it the connections that it had. */
  exited(worker: Collectable): void {
    const last = this.#last.get(worker);
    if (!last) return;
    this.#last.delete(worker);
    this.#retired = add(this.#retired, withAllClosed(lasting(last)));
  }

  async #collect(): Promise<Snapshot[]> {
    const startedAt = performance.now();
    const answered = new Set<Collectable>();
    await Promise.all(
      this.#workers().map(async (worker) => {
        if (!worker.serving) return;
        try {
          this.#last.set(worker, await worker.collect(timeoutMs));
          answered.add(worker);
        } catch {
          // Silent or gone: wshub_worker_up says so.
        }
      }),
    );
    // From here on nothing waits, so that nobody can exit between the retired sum and the living.
    const at = performance.now();
    const living = new Set(this.#workers());
    for (const worker of this.#last.keys()) if (!living.has(worker)) this.exited(worker);
    const seconds = (at - startedAt) / 1000;
    const slots = new Set([...answered].filter((one) => living.has(one)).map(({ slot }) => slot));
    const snapshots = [
      this.#own({ answered: slots, seconds }),
      this.#retired,
      ...Array.from(this.#last, ([worker, last]) => (answered.has(worker) ? last : lasting(last))),
    ];
    this.#finished = { snapshots, at };
    return snapshots;
  }
}

/** Connections that were still open when their worker ended have ended too. */
function withAllClosed(snapshot: Snapshot): Snapshot {
  const reasons = snapshot.wshub_connections_closed_total ?? [];
  const open = total(snapshot.wshub_connections_opened_total ?? []) - total(reasons);
  const closed = reasons.map((sample) =>
    sample.labels['reason'] === 'abnormal' ? { ...sample, value: sample.value + open } : sample,
  );
  return { ...snapshot, wshub_connections_closed_total: closed };
}

function total(samples: readonly Sample[]): number {
  return samples.reduce((sum, { value }) => sum + value, 0);
}
