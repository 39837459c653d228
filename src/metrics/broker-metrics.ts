/** The broker's metrics: history and the results of appends. Every series exists, as 0, if no broker runs. */
import { fanBuckets, Histogram, ipcBuckets } from './histogram.ts';
import type { MetricFrom } from './catalogue.ts';
import { byLabel, histogramSamples, single, type Sample, type Snapshot } from './snapshot.ts';

type Samples = Record<MetricFrom<'broker'>, Sample[]>;

/** Counters of the engine: plain numbers. */
export class EngineCounters {
  appended = 0;
  /** appends that were stored before, by how that was known */
  readonly duplicates = { key: 0, retry: 0 };
  /** messages that left the history, by reason */
  readonly trimmed = { size: 0, ttl: 0, removed: 0, evicted: 0 };
  evictedChannels = 0;
  /**
   * - `new`: of a channel without one
   * - `lost`: a position was forgotten because of the memory bound
   * - `failover`: the server of the engine was restarted or replaced, so offsets may have been lost
   */
  readonly epochs = { new: 0, lost: 0, failover: 0 };
  /** attempts to connect to the server of the engine */
  readonly connects = { ok: 0, failed: 0 };
  /** own publications that came back from the engine */
  echoes = 0;
  /** publications without history that did not reach other machines, or not from them */
  readonly dropped = { engine_down: 0, queue_full: 0, version: 0 };
  storeErrors = 0;
  /** seconds from the start of a batch until it is stored, and its messages */
  readonly appendSeconds = new Histogram(ipcBuckets);
  readonly batchMessages = new Histogram(fanBuckets);
}

/** Counters of the links to the workers. */
export class BrokerCounters {
  /** workers that missed publications of a channel: they got them from the history, or were told of a gap */
  readonly gaps = { filled: 0, insufficient: 0 };
  /** publications without history that a worker did not get from another machine, because it read too slowly */
  droppedForWorker = 0;
  /** changes of the members of channels */
  readonly presenceEvents = { joined: 0, left: 0 };
  /** of those, events that waited for a handler and were dropped */
  presenceEventsDropped = 0;
}

/** The values of the engine's gauges. */
export interface HistoryHoldings {
  readonly bytes: number;
  readonly messages: number;
  readonly channels: number;
  readonly fileBytes: number;
  readonly durable: boolean;
}

/** The values of the gauges of an engine that several machines share. */
export interface SharedHoldings {
  readonly isUp: boolean;
  readonly machines: readonly string[];
  /** number of appends that are not stored */
  readonly waiting: number;
}

/** The values of the links' gauges. */
export interface PresenceHoldings {
  readonly presenceEntries: number;
}

/** Samples of the counters and histograms. */
export function brokerCounted(engine: EngineCounters, links: BrokerCounters) {
  return {
    wshub_history_appended_total: single(engine.appended),
    wshub_history_trimmed_total: byLabel('reason', engine.trimmed),
    wshub_history_evicted_channels_total: single(engine.evictedChannels),
    wshub_history_write_errors_total: single(engine.storeErrors),
    wshub_history_append_seconds: histogramSamples('wshub_history_append_seconds', engine.appendSeconds),
    wshub_engine_batch_messages: histogramSamples('wshub_engine_batch_messages', engine.batchMessages),
    wshub_engine_epochs_total: byLabel('reason', engine.epochs),
    wshub_engine_connects_total: byLabel('result', engine.connects),
    wshub_engine_echoes_total: single(engine.echoes),
    wshub_engine_dropped_total: byLabel('reason', { ...engine.dropped, worker_slow: links.droppedForWorker }),
    wshub_engine_gaps_total: byLabel('result', links.gaps),
    wshub_duplicates_total: byLabel('reason', engine.duplicates),
    wshub_presence_events_total: byLabel('event', links.presenceEvents),
    wshub_presence_events_dropped_total: single(links.presenceEventsDropped),
  } satisfies Partial<Samples>;
}

/** Samples of the gauges. */
export function brokerHeld(
  history: HistoryHoldings,
  presence: PresenceHoldings,
  shared: SharedHoldings | null = null,
): Omit<Samples, keyof ReturnType<typeof brokerCounted>> {
  return {
    wshub_history_bytes: single(history.bytes),
    wshub_history_messages: single(history.messages),
    wshub_history_channels: single(history.channels),
    wshub_history_file_bytes: single(history.fileBytes),
    wshub_history_write_failing: single(history.durable ? 0 : 1),
    wshub_presence_entries: single(presence.presenceEntries),
    wshub_engine_up: single(shared?.isUp === true ? 1 : 0),
    wshub_engine_waiting_messages: single(shared?.waiting ?? 0),
    wshub_machines: single(shared?.machines.length ?? 0),
  };
}

/** The metrics without a broker: zeros, which can be added to those of a broker. */
export const noHistory: Snapshot = brokerHeld(
  { bytes: 0, messages: 0, channels: 0, fileBytes: 0, durable: true },
  { presenceEntries: 0 },
);
