/**
 * Every metric of the hub: its name, kind, sentence, labels with the values known in advance, and where it is read.
 * The names are a contract with whoever scrapes; dashboards, rules and docs/metrics.md are checked against this table.
 * A label never takes a value that a client can choose or multiply.
 */
import { coarseBuckets, fanBuckets, ipcBuckets, netBuckets } from './histogram.ts';

export interface Metric {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  /** label names */
  labels: readonly string[];
  /** `worker`: each worker says it; `primary`: the primary alone; `process`: all of them, each of itself */
  from: 'worker' | 'primary' | 'process' | 'http';
  /** upper bounds, of a histogram */
  buckets?: readonly number[];
  /** how two values with the same labels become one: two generations of a slot live side by side in a reload */
  merge?: 'max';
}

type Origin = Metric['from'];

const counter = <F extends Origin>(from: F, help: string, ...labels: string[]) => ({
  type: 'counter' as const,
  from,
  help,
  labels,
});
const gauge = <F extends Origin>(from: F, help: string, ...labels: string[]) => ({
  type: 'gauge' as const,
  from,
  help,
  labels,
});
const histogram = <F extends Origin>(
  from: F,
  buckets: readonly number[],
  help: string,
  ...labels: string[]
) => ({ type: 'histogram' as const, from, buckets, help, labels });
const max = <M extends Metric>(metric: M) => ({ ...metric, merge: 'max' as const });

/** The `worker` label is the worker's slot, 0 to N-1, kept by its successor; the primary's own is `primary`. */
export const catalogue = {
  wshub_build_info: gauge('primary', 'What runs: always 1.', 'version', 'revision', 'node_version'),
  wshub_workers: gauge('primary', 'Worker processes by state: starting, ready, draining.', 'state'),
  wshub_workers_expected: gauge('primary', 'Worker processes that the settings ask for.'),
  wshub_worker_up: gauge('primary', 'Whether the worker answered this collection: 1 or 0.', 'worker'),
  wshub_worker_start_time_seconds: gauge('primary', 'When the worker was started, in Unix time.', 'worker'),
  wshub_worker_restarts_total: counter('primary', 'Workers replaced: crash, hang, memory, reload.', 'reason'),
  wshub_config_last_reload_successful: gauge(
    'primary',
    'Whether the settings were good when last read: 1 or 0.',
  ),
  wshub_config_last_reload_success_timestamp_seconds: gauge(
    'primary',
    'When good settings were last read, in Unix time.',
  ),
  wshub_metrics_collect_seconds: gauge('primary', 'Seconds that this collection over all workers took.'),
  wshub_draining: gauge('primary', 'Whether some worker drains: 1 or 0.'),

  wshub_connections: gauge('worker', 'Open WebSocket connections.', 'worker'),
  wshub_connections_limit: max(gauge('worker', 'WebSocket connections that the worker may have.', 'worker')),
  wshub_fast_path: max(
    gauge(
      'worker',
      'Whether a fast path is in use, 1 or 0: raw_socket, listening_socket, http_injection, ws_adapter.',
      'worker',
      'part',
    ),
  ),
  wshub_connections_opened_total: counter('worker', 'WebSocket connections opened.'),
  wshub_connections_closed_total: counter(
    'worker',
    'WebSocket connections ended: by the hub (one reason for each close code), handler, client, no_pong, abnormal.',
    'reason',
  ),
  wshub_connections_rejected_total: counter(
    'worker',
    'Clients refused instead of connected: bad_request, timeout, origin, unauthorized, rate_limit, max_connections (of the worker, or _per_address), max_channels, draining.',
    'reason',
  ),
  wshub_handshake_duration_seconds: histogram(
    'worker',
    netBuckets,
    'Seconds from an upgrade request to the message "connected".',
  ),
  wshub_channels: gauge(
    'worker',
    'Channels with a connection on this worker; do not sum over workers.',
    'worker',
  ),
  wshub_messages_received_total: counter(
    'worker',
    'Messages accepted for publication, by where they came from: ws, http, handler.',
    'source',
  ),
  wshub_messages_delivered_total: counter(
    'worker',
    'Messages written to clients, one per recipient: published in the same worker (local) or another (relay).',
    'route',
  ),
  wshub_messages_dropped_total: counter(
    'worker',
    'Messages lost: slow_consumer, relay_backpressure, relay_down, rate_limit.',
    'reason',
  ),
  wshub_message_errors_total: counter(
    'worker',
    'Messages answered with an error: bad_json, binary, handler_failed, too_big, too_many_pieces, forbidden, reserved_message.',
    'reason',
  ),
  wshub_received_bytes_total: counter('worker', 'Payload bytes of the messages that clients sent.'),
  wshub_sent_bytes_total: counter(
    'worker',
    'Payload bytes of the messages written to clients, per recipient.',
  ),
  wshub_publish_fanout_recipients: histogram(
    'worker',
    fanBuckets,
    'Recipients of one publication in one worker that delivered it.',
  ),
  wshub_delivery_latency_seconds: histogram(
    'worker',
    ipcBuckets,
    'Seconds from reading a message to the last write of it in a worker, once per message and worker.',
    'route',
  ),
  wshub_relay_latency_seconds: histogram(
    'worker',
    ipcBuckets,
    'Seconds from handing a publication to the link to decoding it in the other worker.',
  ),
  wshub_relay_frames_total: counter('worker', 'Frames between workers: in, out.', 'direction'),
  wshub_relay_bytes_total: counter('worker', 'Bytes between workers: in, out.', 'direction'),
  wshub_relay_peers: gauge('worker', 'Other workers that this one is linked to.', 'worker'),
  wshub_relay_queue_bytes: gauge('worker', 'Bytes that wait for other workers.', 'worker'),
  wshub_relay_errors_total: counter(
    'worker',
    'Links or trace blocks that failed: decode, version, peer_reset.',
    'reason',
  ),
  wshub_send_buffer_bytes: gauge('worker', 'Bytes that wait for clients.', 'worker'),
  wshub_send_buffer_max_bytes: max(gauge('worker', 'Bytes that wait for the slowest client.', 'worker')),
  wshub_slow_consumers: gauge(
    'worker',
    'Clients for which more bytes wait than the soft limit allows.',
    'worker',
  ),
  wshub_eventloop_lag_p99_seconds: max(
    gauge('process', 'How late timers ran, 99th percentile of the last 10 s.', 'worker'),
  ),
  wshub_eventloop_utilization_ratio: max(
    gauge('process', 'Share of time in which the event loop was busy, over the last 10 s.', 'worker'),
  ),
  wshub_drain_remaining_connections: gauge(
    'primary',
    'Connections that a draining worker still has.',
    'worker',
  ),
  wshub_drain_forced_total: counter('primary', 'Connections that a drain had to cut off.'),
  wshub_primary_errors_total: counter(
    'primary',
    'Errors that the primary survived: uncaught_exception, unhandled_rejection, invalid_message.',
    'reason',
  ),

  wshub_log_lines_dropped_total: counter(
    'process',
    'Log lines dropped because standard output was full or could not be written.',
    'worker',
  ),
  nodejs_gc_duration_seconds: histogram(
    'process',
    coarseBuckets,
    'Pauses of the garbage collector: minor, major, incremental, weakcb; all processes together.',
    'kind',
  ),
  process_cpu_seconds_total: counter('process', 'CPU time of user and system, in seconds.', 'worker'),
  process_resident_memory_bytes: gauge('process', 'Resident memory.', 'worker'),
  nodejs_heap_used_bytes: gauge('process', 'Memory in use on the JavaScript heap.', 'worker'),
  process_open_fds: gauge('process', 'Open file descriptors.', 'worker'),
  process_max_fds: max(gauge('process', 'File descriptors that the process may open.', 'worker')),

  wshub_http_requests_total: counter(
    'http',
    'HTTP requests answered; HEAD counts as GET.',
    'method',
    'route',
    'code',
  ),
  wshub_http_request_duration_seconds: histogram(
    'http',
    coarseBuckets,
    'Seconds that an HTTP request took, but for those refused with 4xx.',
    'method',
    'route',
    'code',
  ),
  wshub_admin_actions_total: counter(
    'http',
    'Admin actions by outcome: done or an error code.',
    'action',
    'result',
  ),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof catalogue;

/** The metrics that are read at one place. */
export type MetricFrom<F extends Metric['from']> = {
  [N in MetricName]: (typeof catalogue)[N]['from'] extends F ? N : never;
}[MetricName];
