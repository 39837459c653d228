/**
 * Collects the metrics of all processes. A scrape takes little more than a second whatever the workers do, counters never
 * decrease, and at most one collection runs at a time.
 *
 *   responsive worker      its counters and gauges
 *   unresponsive worker    its last counters, no gauges, wshub_worker_up 0
 *   exited worker          its last counters are added to the retired sum
 *
 * Workers also report their counters every second, so a crash loses the counts of one second at most.
 */
import { BrokerCounters, brokerCounted, EngineCounters } from './broker-metrics.ts';
import { Counters } from './counters.ts';
import type { CollectionFacts } from './primary-metrics.ts';
import { add, lasting, type Sample, type Snapshot } from './snapshot.ts';
import { counted } from './worker-metrics.ts';

/** The part of a worker that the collector needs; implemented by worker-process.ts. */
export interface Collectable {
  readonly slot: number;
  /** it answers requests */
  readonly serving: boolean;
  /**
   * Requests its metrics. Rejects if it does not answer in time or has exited.
   * @param take called with the answer, before any later report of this worker
   */
  collect(timeoutMs: number, take: (snapshot: Snapshot) => void): Promise<void>;
}

const timeoutMs = 1_000;
/** Scrapes within this time share one result. */
const sharedMs = 1_000;

export class Collector {
  readonly #workers: () => readonly Collectable[];
  readonly #own: (facts: CollectionFacts) => Snapshot;
  /** last report of each worker that has not exited */
  readonly #last = new Map<Collectable, Snapshot>();
  /** workers in the retired sum: messages that arrive after the exit must not be counted again */
  readonly #gone = new WeakSet<Collectable>();
  /** sum of the counters of exited workers; contains every counter from the start */
  #retired: Snapshot = {
    ...counted(new Counters()),
    ...brokerCounted(new EngineCounters(), new BrokerCounters()),
  };
  /** the collection in progress, shared by all scrapes meanwhile */
  #running: Promise<Snapshot[]> | null = null;
  #finished: { snapshots: Snapshot[]; at: number } | null = null;

  /**
   * @param workers all processes that have not exited
   * @param own returns the primary's metrics
   */
  constructor(workers: () => readonly Collectable[], own: (facts: CollectionFacts) => Snapshot) {
    this.#workers = workers;
    this.#own = own;
  }

  /** Returns one snapshot per process, and one for all that have exited. */
  collect(): Promise<Snapshot[]> {
    const finished = this.#finished;
    if (finished && performance.now() - finished.at < sharedMs) return Promise.resolve(finished.snapshots);
    this.#running ??= this.#collect().finally(() => (this.#running = null));
    return this.#running;
  }

  /** Called with each report of a worker. */
  reported(worker: Collectable, snapshot: Snapshot): void {
    if (!this.#gone.has(worker)) this.#last.set(worker, snapshot);
  }

  /** Called when a worker has exited: its connections are closed. */
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
          // Unresponsive or exited: wshub_worker_up is 0.
        }
      }),
    );
    // No await from here on: no worker may move to the retired sum meanwhile.
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

/** Counts the connections that were open when their worker exited as closed. */
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
