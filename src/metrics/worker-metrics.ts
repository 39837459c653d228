/** A worker's metrics: counters and gauges, read when the primary collects them. */
import type { Counters } from './counters.ts';
import type { HttpCounters } from './http-counters.ts';
import type { MetricFrom } from './catalogue.ts';
import { httpSamples } from './http-metrics.ts';
import type { ProcessStats } from './process-stats.ts';
import { byLabel, histogramSamples, single, type Sample, type Snapshot } from './snapshot.ts';

/** The state of a worker that the gauges read. */
export interface Holdings {
  readonly slowConsumers: { readonly size: number };
  readonly clients: Iterable<{ readonly bufferedBytes: number }> & { readonly size: number };
  readonly hub: { readonly channelCount: number };
  readonly mesh: { siblings(): readonly unknown[]; readonly queuedBytes: number };
}

/** The parts that depend on undocumented behaviour, and whether each is in use; see worker/fast-paths.ts. */
export interface FastPaths {
  raw_socket: boolean;
  listening_socket: boolean;
  http_injection: boolean;
}

/** Sources of a worker's metrics. */
export interface MetricSources {
  counters: Counters;
  holdings: Holdings;
  http: HttpCounters;
  probe: ProcessStats;
  /** maximum connections of the worker */
  maxConnections: number;
  fastPaths: FastPaths;
}

type Samples = Record<MetricFrom<'worker'>, Sample[]>;
/** Gauges that never change. */
type Fixed = 'wshub_connections_limit' | 'wshub_fast_path';

export class WorkerMetrics {
  readonly #worker: string;
  readonly #sources: MetricSources;

  constructor(slot: number, sources: MetricSources) {
    this.#worker = String(slot);
    this.#sources = sources;
  }

  snapshot(): Snapshot {
    const { holdings, probe, maxConnections, fastPaths } = this.#sources;
    const labels = { worker: this.#worker };
    const fixed: Pick<Samples, Fixed> = {
      wshub_connections_limit: single(maxConnections, labels),
      wshub_fast_path: Object.entries(fastPaths).map(([part, isOn]) => ({
        labels: { ...labels, part },
        value: isOn ? 1 : 0,
      })),
    };
    return { ...this.counters(), ...held(holdings, labels), ...fixed, ...probe.gauges(this.#worker) };
  }

  /** Everything that must outlive this process. Iterates over nothing that clients can grow. */
  counters(): Snapshot {
    return {
      ...counted(this.#sources.counters),
      ...httpSamples(this.#sources.http),
      ...this.#sources.probe.counters(this.#worker),
    };
  }
}

/** Samples of the counters and histograms. */
export function counted(counters: Counters) {
  return {
    wshub_connections_opened_total: single(counters.opened),
    wshub_connections_closed_total: byLabel('reason', counters.closed),
    wshub_connections_rejected_total: byLabel('reason', counters.rejected),
    wshub_handshake_duration_seconds: histogramSamples(
      'wshub_handshake_duration_seconds',
      counters.handshake,
    ),
    wshub_messages_received_total: byLabel('source', counters.received),
    wshub_messages_delivered_total: byLabel('route', counters.delivered),
    wshub_messages_dropped_total: byLabel('reason', counters.dropped),
    wshub_message_errors_total: byLabel('reason', counters.messageErrors),
    wshub_resumes_total: byLabel('result', counters.resumes),
    wshub_received_bytes_total: single(counters.receivedBytes),
    wshub_sent_bytes_total: single(counters.sentBytes),
    wshub_publish_fanout_recipients: histogramSamples('wshub_publish_fanout_recipients', counters.recipients),
    wshub_delivery_latency_seconds: Object.entries(counters.latency).flatMap(([route, histogram]) =>
      histogramSamples('wshub_delivery_latency_seconds', histogram, { route }),
    ),
    wshub_relay_latency_seconds: histogramSamples('wshub_relay_latency_seconds', counters.relayLatency),
    wshub_relay_frames_total: byLabel('direction', counters.relayFrames),
    wshub_relay_bytes_total: byLabel('direction', counters.relayBytes),
    wshub_relay_errors_total: byLabel('reason', counters.relayErrors),
  } satisfies Partial<Samples>;
}

/** Samples of the gauges. Iterates over all connections. */
function held(
  { clients, hub, mesh, slowConsumers }: Holdings,
  labels: { worker: string },
): Omit<Samples, keyof ReturnType<typeof counted> | Fixed> {
  let bytes = 0;
  let most = 0;
  for (const { bufferedBytes } of clients) {
    bytes += bufferedBytes;
    most = Math.max(most, bufferedBytes);
  }
  return {
    wshub_connections: single(clients.size, labels),
    wshub_channels: single(hub.channelCount, labels),
    wshub_relay_peers: single(mesh.siblings().length, labels),
    wshub_relay_queue_bytes: single(mesh.queuedBytes, labels),
    wshub_send_buffer_bytes: single(bytes, labels),
    wshub_send_buffer_max_bytes: single(most, labels),
    wshub_slow_consumers: single(slowConsumers.size, labels),
  };
}
