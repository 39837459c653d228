/**
 * Collects the metrics of all processes. It promises that a scrape is answered in little more than a second
 * whatever the workers do, that counters never fall, and that at most one collection runs at a time.
 *
 *   a worker that answers      its counters and gauges
 *   one that stays silent      its last counters, no gauges, wshub_worker_up 0
 *   one that has exited        what it last said goes into the retired sum and stays there
 *
 * Workers say their counters every second without being asked, so a crash costs the counts of a second at most.
 */
import { Counters } from './counters.ts';
import type { CollectionFacts } from './primary-metrics.ts';
import { add, lasting, type Sample, type Snapshot } from './snapshot.ts';
import { counted } from './worker-metrics.ts';

/** What the collector needs of a worker; worker-process.ts fits. */
export interface Collectable {
  readonly slot: number;
  /** it can be asked */
  readonly serving: boolean;
  /**
   * Asks what it has counted. Rejects if it does not answer in time or is gone.
   * @param take called with the answer, before anything else that it says later is reported
   */
  collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void>;
}

const timeoutMs = 1_000;
/** a result serves all who ask within this time */
const sharedMs = 1_000;

export class Collector {
  readonly #workers: () => readonly Collectable[];
  readonly #own: (facts: CollectionFacts) => Snapshot;
  /** what each worker that has not exited last said */
  readonly #last = new Map<Collectable, Snapshot>();
  /** in the retired sum: what still comes of them, behind their exit, must not count twice */
  readonly #gone = new WeakSet<Collectable>();
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

  /** A worker says what it has counted. */
  reported(worker: Collectable, snapshot: Snapshot): void {
    if (!this.#gone.has(worker)) this.#last.set(worker, snapshot);
  }

  /** The worker's process is gone, and with it the connections that it had. */
  exited(worker: Collectable): void {
    const last = this.#last.get(worker);
    this.#gone.add(worker);
    if (!last) return;
    this.#last.delete(worker);
    this.#retired = add(this.#retired, withAllClosed(lasting(last)));
  }

  async #collect(): Promise<Snapshot[]> {
    const startedAt = performance.now();
    const answered = new Map<Collectable, Snapshot>();
    await Promise.all(
      this.#workers().map(async (worker) => {
        if (!worker.serving) return;
        try {
          await worker.collect(timeoutMs, (snapshot) => {
            answered.set(worker, snapshot);
            this.reported(worker, snapshot);
          });
        } catch {
          // Silent or gone: wshub_worker_up says so.
        }
      }),
    );
    // From here on nothing waits, so that nobody can exit between the retired sum and the living.
    const at = performance.now();
    const seconds = (at - startedAt) / 1000;
    const slots = new Set([...answered.keys()].filter((one) => !this.#gone.has(one)).map(({ slot }) => slot));
    const snapshots = [
      this.#own({ answered: slots, seconds }),
      this.#retired,
      ...Array.from(this.#last, ([worker, last]) => answered.get(worker) ?? lasting(last)),
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
